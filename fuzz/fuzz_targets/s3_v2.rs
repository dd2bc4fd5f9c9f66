//! Requests signed as clients of S3 did: what is accepted was signed, wholly.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::s3_v2::run(data);
});
