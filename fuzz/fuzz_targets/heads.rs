//! Raw bytes, followed before hyper parses them: both find the same messages.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::heads::run(data);
});
