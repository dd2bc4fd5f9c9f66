//! Header fields over HTTP/2: a cleaned request or a refusal comes out.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::h2::run(data);
});
