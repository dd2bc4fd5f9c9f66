//! The time that each piece of a request's life takes.

#![allow(missing_docs, clippy::expect_used, clippy::panic, reason = "a benchmark that cannot run ends")]

mod pieces;

use std::time::{Duration, Instant};

use criterion::{Criterion, criterion_group, criterion_main};
use pieces::Work;

fn times(criterion: &mut Criterion) {
    for piece in pieces::all() {
        criterion.bench_function(&piece.name, |bencher| match &piece.work {
            Work::Again(work) => bencher.iter(work),
            Work::Once(prepare) => bencher.iter_custom(|rounds| {
                let mut spent = Duration::ZERO;
                for _ in 0..rounds {
                    let work = prepare();
                    let began = Instant::now();
                    let left = work();
                    spent += began.elapsed();
                    drop(left);
                }
                spent
            }),
        });
    }
}

criterion_group! {
    name = all;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(2)).sample_size(50);
    targets = times
}
criterion_main!(all);
