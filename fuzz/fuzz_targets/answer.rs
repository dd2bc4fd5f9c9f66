//! The bytes of an application's answer, read by us and by hyper.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::answer::run(data);
});
