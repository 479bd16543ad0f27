//! The demo, as a newcomer sees it.

use crate::command::tidegate;

#[test]
fn the_demo_tells_a_day_and_a_capacity() {
    let ran = tidegate(&["demo", "--quiet"]);
    assert_eq!(ran.code, 0, "{}", ran.stderr);
    for part in ["Verdict: ", "main page", "checkout", "Trials"] {
        assert!(ran.stdout.contains(part), "{part} is not in\n{}", ran.stdout);
    }
    // On a machine that is too busy to tell, the demo says so instead of a figure.
    let busy = ran.stdout.contains("This machine is too busy to tell");
    assert!(busy != ran.stdout.contains("The busiest second of the day had"), "{}", ran.stdout);
}
