//! Requests that are signed in their query: what is accepted was signed, wholly, and comes once.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::query_hmac::run(data);
});
