//! HTTP message signatures: what is accepted was signed, wholly.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::message_signature::run(data);
});
