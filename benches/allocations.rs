//! How often each piece of a request's life asks for memory, and for how much of it. Not a matter of time: the same on every machine.

#![allow(missing_docs, clippy::expect_used, clippy::panic, clippy::print_stdout, reason = "a benchmark that cannot run ends")]

mod pieces;

use pieces::Work;

/// Before the count: what is made once and kept is no piece's own.
const WARM_UP: usize = 5;

fn main() {
    println!("| piece | allocations | bytes |\n|---|---|---|");
    for piece in pieces::all() {
        let mut counted = None;
        for _ in 0..=WARM_UP {
            counted = Some(match &piece.work {
                Work::Again(work) => allocation_counter::measure(work),
                Work::Once(prepare) => {
                    let (work, mut left) = (prepare(), None);
                    let counted = allocation_counter::measure(|| left = work());
                    drop(left);
                    counted
                }
            });
        }
        let counted = counted.expect("at least one round");
        println!("| {} | {} | {} |", piece.name, counted.count_total, counted.bytes_total);
    }
}
