//! A PID survives its text and its number; every other text and number is none.

use crate::pid::{GENERATION_MAX, NODE_MAX, Pid, SLOTS_MAX};

/// Checks the input as a text, and its first bytes as a number.
pub fn check(data: &[u8]) {
    if let Ok(text) = std::str::from_utf8(data) {
        let parsed: Option<Pid> = text.parse().ok();
        assert_eq!(parsed.map(Pid::to_bits), bits_of(text), "{text:?}");
        if let Some(pid) = parsed {
            assert_eq!((pid.to_string(), format!("{pid:?}")), (text.into(), text.into()));
            survives(pid);
        }
    }
    if let Some(bytes) = data.first_chunk() {
        let bits = u64::from_le_bytes(*bytes);
        // Few random numbers are small enough, so a second one is made so.
        for bits in [bits, bits >> 11] {
            let pid = Pid::from_bits(bits);
            assert_eq!(pid.map(Pid::to_bits), (bits < 1 << 53).then_some(bits));
            pid.into_iter().for_each(survives);
        }
    }
}

fn survives(pid: Pid) {
    assert_eq!(Pid::from_bits(pid.to_bits()), Some(pid));
    assert_eq!(pid.to_string().parse(), Ok(pid));
    assert!(pid.node() <= NODE_MAX && pid.slot() < SLOTS_MAX && pid.generation() <= GENERATION_MAX);
    assert_eq!(Pid::new(pid.node(), pid.slot(), pid.generation()), pid);
}

/// The model: three decimal numbers as they would be printed, put together by multiplication.
fn bits_of(text: &str) -> Option<u64> {
    let inner = text.strip_prefix('<')?.strip_suffix('>')?;
    let numbers: Vec<u64> = inner
        .split('.')
        .map(|part| part.parse().ok().filter(|number: &u64| number.to_string() == part))
        .collect::<Option<_>>()?;
    match numbers[..] {
        [node, slot, generation] if node < 1 << 10 && slot < 1 << 25 && generation < 1 << 18 => {
            Some((node * (1 << 25) + slot) * (1 << 18) + generation)
        }
        _ => None,
    }
}
