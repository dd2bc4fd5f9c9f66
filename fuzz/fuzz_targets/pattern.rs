//! Path patterns against a matcher that is simple enough to be right.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| {
    doorward_fuzz::pattern::run(data);
});
