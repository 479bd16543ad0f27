//! The live view, on a terminal and in a pipe.

use report::Style;
use report::progress::{Live, LiveMode};

use crate::golden::assert_golden;
use crate::sample::{self, SECOND};

fn terminal(width: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let mode = LiveMode::Terminal { width, keys: "p pause  q quit".to_owned() };
    let mut live = Live::new(&mut out, mode, Style::default());
    sample::play_short(|tick| live.tick(tick).unwrap());
    drop(live);
    out
}

#[test]
fn a_terminal_is_redrawn() {
    let frames = String::from_utf8(terminal(100)).unwrap();
    assert_golden("live.txt", &frames.replace('\x1b', "ESC"));
    // Each frame goes up by the lines of the one before.
    let lines = frames.split("\x1b[J").next().unwrap().lines().count() - 1;
    assert!(frames.contains(&format!("\r\x1b[{lines}A\x1b[J")), "{lines}");
}

#[test]
fn no_line_fills_the_terminal() {
    for width in [0, 30, 80] {
        let frames = String::from_utf8(terminal(width)).unwrap();
        for line in frames.lines().map(|line| line.rsplit("\x1b[J").next().unwrap()) {
            assert!(line.chars().count() < width.max(20), "{width}: {line}");
        }
    }
}

#[test]
fn clearing_takes_the_block_away_once() {
    let mut out = Vec::new();
    let mode = LiveMode::Terminal { width: 80, keys: String::new() };
    let mut live = Live::new(&mut out, mode, Style::default());
    live.clear().unwrap();
    sample::play_short(|tick| live.tick(tick).unwrap());
    live.clear().unwrap();
    live.clear().unwrap();
    drop(live);
    assert!(!out.starts_with(b"\r"));
    // Two redraws and one clearing.
    assert_eq!(String::from_utf8(out).unwrap().matches("\x1b[J").count(), 3);
}

#[test]
fn a_pipe_gets_a_line_now_and_then() {
    let mut out = Vec::new();
    let mode = LiveMode::Pipe { every: 2 * SECOND };
    let mut live = Live::new(&mut out, mode, Style::default());
    sample::play_short(|tick| live.tick(tick).unwrap());
    drop(live);
    assert_golden("pipe.txt", &String::from_utf8(out).unwrap());
}
