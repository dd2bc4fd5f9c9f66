//! Webhooks: what is accepted was signed, and comes once.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::webhook::run(data);
});
