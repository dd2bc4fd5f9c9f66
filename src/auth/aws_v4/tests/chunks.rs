//! Bodies in chunks.

use bytes::Bytes;
use hmac::KeyInit;

use super::super::content::Chunks;
use super::super::request::unhex;
use super::*;
use crate::payload::{BodyCheck, Mismatch, Ready};

const STAMP: &str = "20130524T000000Z";
const SCOPE: &str = "20130524/us-east-1/s3/aws4_request";

fn key() -> Plain {
    let secret = <Prefixed as KeyInit>::new_from_slice(b"wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY").unwrap();
    signing_key(&secret, &Scope { date: "20130524", region: "us-east-1", service: "s3" }).unwrap()
}

fn chain(seed: &str) -> Chain {
    Chain::new(key(), STAMP, SCOPE, unhex(seed).unwrap())
}

/// The seed of Amazon's published example.
const SEED: &str = "4f232c4386841ef735655705268965c44a0e4690baa4adea153f7db9fa80a0a9";

fn amazons() -> Vec<u8> {
    [
        b"10000;chunk-signature=ad80c730a21e5b8d04586a2213dd63b9a0e99e0e2307b0ade35a65485a288648\r\n".to_vec(),
        vec![b'a'; 65_536],
        b"\r\n400;chunk-signature=0055627c9e194cb4542bae2aa5492e3c1575bbb81b612b7d234b86a503ef5497\r\n".to_vec(),
        vec![b'a'; 1024],
        b"\r\n0;chunk-signature=b6c6ea8a5354eaf15b3cb7646744f4275b71ea724fed81ceb9323e279d449df9\r\n\r\n".to_vec(),
    ]
    .concat()
}

fn framing(length: u64, signed: bool, trailer: bool) -> Chunks {
    Chunks { signed, trailer, length }
}

/// What comes out when `body` arrives in pieces of this size.
fn decoded(mut decoder: Decoder, body: &[u8], piece: usize) -> Result<Vec<u8>, Mismatch> {
    let (mut ready, mut all) = (Ready::default(), Vec::new());
    for piece in body.chunks(piece) {
        decoder.take(Bytes::copy_from_slice(piece), &mut ready)?;
        while let Some(piece) = ready.next(0) {
            all.extend_from_slice(&piece);
        }
    }
    decoder.end(&mut ready)?;
    while let Some(piece) = ready.next(0) {
        all.extend_from_slice(&piece);
    }
    Ok(all)
}

fn signed(length: u64) -> Decoder {
    Decoder::new(framing(length, true, false), Some(chain(SEED)))
}

/// A body in signed chunks of these lengths, with a trailer where there is one.
fn chunked(data: &[&[u8]], trailer: Option<&str>) -> Vec<u8> {
    let (mut chain, mut all) = (chain(SEED), Vec::new());
    for data in data.iter().chain([&&b""[..]]) {
        let signature = chain.sign(&chain.chunk(&Sha256::digest(data)));
        all.extend_from_slice(format!("{:x};chunk-signature={signature}\r\n", data.len()).as_bytes());
        all.extend_from_slice(data);
        all.extend_from_slice(if data.is_empty() { b"" } else { b"\r\n" });
    }
    if let Some(line) = trailer {
        let signature = chain.sign(&chain.trailer(&Sha256::digest(format!("{line}\n"))));
        all.extend_from_slice(format!("{line}\r\nx-amz-trailer-signature:{signature}\r\n").as_bytes());
    }
    [all, b"\r\n".to_vec()].concat()
}

#[test]
fn amazons_published_chunks_are_accepted_however_they_arrive() {
    for piece in [1, 2, 7, 85, 1000, 65_536, 100_000] {
        assert_eq!(decoded(signed(66_560), &amazons(), piece), Ok(vec![b'a'; 66_560]), "in pieces of {piece}");
    }
}

#[test]
fn nothing_of_a_chunk_passes_before_it_is_verified() {
    let (mut decoder, mut ready) = (signed(66_560), Ready::default());
    let all = amazons();
    let first = 86 + 2 + 65_536;
    decoder.take(Bytes::copy_from_slice(&all[..first + 1]), &mut ready).unwrap();
    assert_eq!((ready.bytes(), decoder.held()), (0, 65_536), "its last line feed has not come");
    decoder.take(Bytes::copy_from_slice(&all[first + 1..first + 2]), &mut ready).unwrap();
    assert_eq!((ready.bytes(), decoder.held()), (65_536, 0));
    assert!(decoder.end(&mut ready).is_err(), "the end was not signed yet");
}

#[test]
fn every_bit_of_a_chunked_body_counts() {
    let body = chunked(&[b"first chunk", b"second"], None);
    let whole = b"first chunksecond";
    assert_eq!(decoded(signed(17), &body, 9).as_deref(), Ok(&whole[..]));
    for bit in 0..body.len() * 8 {
        let mut changed = body.clone();
        changed[bit / 8] ^= 1 << (bit % 8);
        // A size may be written in either case: it is framing, and not passed on.
        let size = changed.eq_ignore_ascii_case(&body) && [b'b', b'B'].contains(&changed[bit / 8]) && bit / 8 == 0;
        assert_eq!(decoded(signed(17), &changed, 1000).is_ok(), size, "bit {bit}");
    }
    for length in 0..body.len() {
        assert!(decoded(signed(17), &body[..length], 1000).is_err(), "cut off at {length}");
    }
}

#[test]
fn chunks_cannot_be_moved_left_out_put_in_or_taken_from_another_request() {
    let [a, b] = [&b"aaaa"[..], &b"bbbb"[..]];
    let body = chunked(&[a, b], None);
    let one = 1 + 17 + 64 + 2 + 4 + 2;
    let (first, second, end) = (&body[..one], &body[one..2 * one], &body[2 * one..]);
    assert_eq!(decoded(signed(8), &[first, second, end].concat(), 10), Ok([a, b].concat()));
    for (length, parts) in [
        (8, vec![second, first, end]),
        (4, vec![first, end]),
        (4, vec![second, end]),
        (12, vec![first, first, second, end]),
        (12, vec![first, second, second, end]),
        (8, vec![first, second]),
        (8, vec![first, second, end, end]),
        (8, vec![first, second, end, b"x"]),
        (0, vec![end]),
        (7, vec![first, second, end]),
        (9, vec![first, second, end]),
        (u64::MAX, vec![first, second, end]),
    ] {
        assert!(decoded(signed(length), &parts.concat(), 10).is_err(), "{length}");
    }
    let other = Decoder::new(framing(8, true, false), Some(chain(&"0".repeat(64))));
    assert!(decoded(other, &body, 10).is_err(), "another request's signature comes before");
}

#[test]
fn other_framings_are_refused() {
    let good = chunked(&[b"aaaa"], None);
    let text = |from: &str, to: &str| {
        let all = String::from_utf8(good.clone()).unwrap();
        assert!(all.contains(from), "{from:?}");
        all.replacen(from, to, 1).into_bytes()
    };
    for (why, body) in [
        ("no signature", text(std::str::from_utf8(&good[1..82]).unwrap(), "")),
        ("another extension", text("4;chunk-signature", "4;chunk-Signature")),
        ("a blank", text("4;", "4 ;")),
        ("a sign", text("4;", "+4;")),
        ("a prefix", text("4;", "0x4;")),
        ("no size", text("4;", ";")),
        ("a size beyond all bounds", text("4;", "fffffffffffffffff;")),
        ("a size beyond what may be held", text("4;", "100001;")),
        ("a bare line feed", text("\r\n", "\n")),
        ("a line that does not end", [b"4;".to_vec(), vec![b'a'; 10_000]].concat()),
        ("a trailer that was not announced", [&good[..good.len() - 2], b"x-amz-acl:public\r\n\r\n"].concat()),
        ("nothing", Vec::new()),
    ] {
        assert!(decoded(signed(4), &body, 50).is_err(), "{why}");
    }
}

#[test]
fn a_signed_trailer_is_verified_and_dropped() {
    let decoder = || Decoder::new(framing(4, true, true), Some(chain(SEED)));
    let body = chunked(&[b"aaaa"], Some("x-amz-checksum-crc32c:sOO8/Q=="));
    assert_eq!(decoded(decoder(), &body, 11).as_deref(), Ok(&b"aaaa"[..]));
    let text = String::from_utf8(body).unwrap();
    for changed in [
        text.replace("sOO8", "sOO9"),
        text.replace("crc32c", "crc32d"),
        text.replace("x-amz-trailer-signature", "x-amz-trailer-signaturf"),
        text.replace("x-amz-checksum", "x-amz-acl:public\r\nx-amz-checksum"),
        text.replace("==\r\n", "==\r\nx-amz-acl:public\r\n"),
        text.trim_end().to_owned() + "\r\nx-amz-acl:public\r\n\r\n",
        text.replace("x-amz-checksum-crc32c:sOO8/Q==\r\n", ""),
        text.replace("x-amz-trailer-signature:", "x-amz-trailer-signature:0"),
        text.split("x-amz-trailer").next().unwrap().to_owned() + "\r\n",
        text.replace("x-amz-checksum-crc32c:", "x-amz-checksum-crc32c"),
        text.replace("sOO8", &"x".repeat(10_000)),
    ] {
        assert_ne!(changed, text);
        assert!(decoded(decoder(), changed.as_bytes(), 1000).is_err(), "{changed}");
    }
}

#[test]
fn chunks_that_are_not_signed_are_taken_apart_alone() {
    let decoder = |length| Decoder::new(framing(length, false, true), None);
    let body = b"4\r\naaaa\r\n2\r\nbb\r\n0\r\nx-amz-checksum-crc32:AAAA\r\n\r\n";
    for piece in [1, 3, 100] {
        assert_eq!(decoded(decoder(6), body, piece).as_deref(), Ok(&b"aaaabb"[..]));
    }
    let long = [format!("{:x}\r\n", 3 << 20).into_bytes(), vec![b'x'; 3 << 20], b"\r\n0\r\n\r\n".to_vec()].concat();
    assert_eq!(decoded(decoder(3 << 20), &long, 100_000), Ok(vec![b'x'; 3 << 20]), "nothing is kept back, so nothing bounds a chunk");
    let signed = format!("4;chunk-signature={SEED}\r\naaaa\r\n0\r\n\r\n");
    for (length, body) in [
        (5, &body[..]),
        (7, body),
        (6, &body[..body.len() - 2]),
        (4, signed.as_bytes()),
        (4, b"4\r\naaaaa\r\n0\r\n\r\n"),
        (4, b"4\r\naaaa0\r\n\r\n"),
        (4, b"4\r\naaaa\r\n0\r\nx-amz-trailer-signature:0\r\n\r\n"),
    ] {
        assert!(decoded(decoder(length), body, 7).is_err());
    }
}

proptest! {
    #[test]
    fn what_is_chunked_is_decoded_and_the_pieces_do_not_matter(
        data in prop::collection::vec(prop::collection::vec(any::<u8>(), 1..300), 0..5), piece in 1usize..400, trailer: bool
    ) {
        let slices: Vec<&[u8]> = data.iter().map(Vec::as_slice).collect();
        let body = chunked(&slices, trailer.then_some("x-amz-checksum-crc32:AAAA"));
        let length = data.concat().len() as u64;
        let decoder = Decoder::new(framing(length, true, trailer), Some(chain(SEED)));
        prop_assert_eq!(decoded(decoder, &body, piece), Ok(data.concat()));
    }

    #[test]
    fn no_bytes_make_the_decoder_panic(body in "[0-9a-f;\\r\\n:chunk-sigature=]{0,200}", bytes in prop::collection::vec(any::<u8>(), 0..100), signed: bool) {
        let decoder = || Decoder::new(framing(9, signed, true), signed.then(|| chain(SEED)));
        let _ = (decoded(decoder(), body.as_bytes(), 5), decoded(decoder(), &bytes, 5));
        let _ = decoded(decoder(), &[b"5\r\n".to_vec(), bytes].concat(), 5);
    }
}
