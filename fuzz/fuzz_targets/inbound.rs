//! Raw bytes into an HTTP/1 server: a cleaned request or a refusal comes out.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::inbound::run(data);
});
