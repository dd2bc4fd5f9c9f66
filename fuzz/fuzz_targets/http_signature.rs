//! Requests of the drafts before RFC 9421: what is accepted was signed, wholly.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::http_signature::run(data);
});
