//! Hosts, and names of headers that no client may send.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::names::run(data);
});
