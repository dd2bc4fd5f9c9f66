//! Amazon's signature version 4, with bodies in chunks: what is accepted was signed, wholly.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::aws::run(data);
});
