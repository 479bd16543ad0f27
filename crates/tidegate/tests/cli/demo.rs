//! The demo, as a newcomer sees it.

use crate::command::tidegate;

#[test]
fn the_demo_tells_a_day_and_a_capacity() {
    let ran = tidegate(&["demo", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in ["Verdict: ", "main page", "checkout", "Trials", "The busiest second of the day had"] {
        assert!(ran.stdout.contains(part), "{part} is not in\n{}", ran.stdout);
    }
}
