//! Tokens with any header and payload under a good signature.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::jwt::run(data);
});
