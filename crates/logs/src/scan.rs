//! Reading many logs with many threads.
//!
//! Threads take turns in cutting a source into blocks of whole lines, and parse the blocks side by side.
//! While one cuts, the others parse or cut another source: so a rotated set of compressed files is
//! decompressed in parallel, while no more files are open than there are threads.

use crate::{
    Counts, LINE_BYTES_MAX, Layout, Position, ReadError, Reject, RejectReason, Sink, Source,
    blocks::{Block, Blocks, Line, without_mark},
    decompress::Input,
    format::Parser,
};
use std::{
    panic,
    sync::{
        Arc, Mutex, PoisonError, TryLockError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

/// Most threads of a scan.
pub const JOBS_MAX: usize = 256;

/// How to read.
#[derive(Debug, Clone)]
pub struct Options {
    /// Formats that are tried before those that are detected.
    pub layouts: Arc<[Layout]>,
    /// Zone of times that do not tell theirs, in minutes east of UTC.
    pub zone_min: i16,
    /// Threads; at least one is used, at most [`JOBS_MAX`].
    pub jobs: usize,
    /// Plain text that a thread takes at a time, in bytes. It does not change the result.
    pub block_bytes: usize,
    /// Leave a last line without line end to a later reading: its writer, or whoever compresses it, may be
    /// in the middle of it.
    pub leaves_unfinished: bool,
    /// Tells others how far it is, and can be told to stop.
    pub progress: Arc<Progress>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            layouts: Arc::from([]),
            zone_min: 0,
            jobs: thread::available_parallelism().map_or(1, usize::from),
            block_bytes: 512 * 1024,
            leaves_unfinished: false,
            progress: Arc::default(),
        }
    }
}

impl Options {
    pub(crate) fn parser(&self) -> Parser {
        Parser::new(Arc::clone(&self.layouts), self.zone_min)
    }
}

/// What a scan and its watchers tell each other.
#[derive(Debug, Default)]
pub struct Progress {
    /// Plain text that was parsed, in bytes.
    pub bytes: AtomicU64,
    /// Lines of all kinds that were parsed.
    pub lines: AtomicU64,
    /// Set to end the scan after the blocks at hand; what was read stays good.
    pub stop: AtomicBool,
}

/// What a scan gave.
#[derive(Debug)]
pub struct Scan<S> {
    /// One for every thread.
    pub sinks: Vec<S>,
    /// What became of the lines of all sources.
    pub counts: Counts,
    /// What became of each source, in the order given.
    pub outcomes: Vec<Outcome>,
}

/// What became of a source.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Its lines.
    pub counts: Counts,
    /// Where to go on another time; `None` if it is empty or was not reached. Damage does not move it.
    pub position: Option<Position>,
    /// The place of an earlier reading where this one went on.
    pub continued: Option<Position>,
    /// Whether it ends before that place: then it is taken for an unfinished copy, and nothing of it counts.
    pub is_shorter: bool,
    /// Why it could not be read to its end.
    pub failure: Option<ReadError>,
}

/// Reads every line of `sources` and gives what it says to sinks made by `make`, one for each thread.
/// What the sinks get in all depends neither on the number of threads nor on the size of blocks. A
/// source that fails ends there; the others are read on.
///
/// # Panics
/// If a sink does.
pub fn scan<S: Sink>(sources: &[Source], options: &Options, make: impl Fn() -> S) -> Scan<S> {
    let work: Vec<_> = sources.iter().map(Work::new).collect();
    let jobs = options.jobs.clamp(1, JOBS_MAX);
    let new_sinks: Vec<S> = (0..jobs).map(|_| make()).collect();
    let done: Vec<(S, Vec<Counts>)> = thread::scope(|scope| {
        let threads: Vec<_> =
            new_sinks.into_iter().map(|sink| scope.spawn(|| run(&work, options, sink))).collect();
        let joined = threads.into_iter().map(thread::ScopedJoinHandle::join);
        joined.map(|done| done.unwrap_or_else(|cause| panic::resume_unwind(cause))).collect()
    });
    let mut outcomes: Vec<Outcome> = work.into_iter().map(Work::outcome).collect();
    let (mut counts, mut sinks) = (Counts::default(), Vec::new());
    for (sink, counted) in done {
        sinks.push(sink);
        for (outcome, part) in outcomes.iter_mut().zip(&counted) {
            outcome.counts.merge(part);
            counts.merge(part);
        }
    }
    for outcome in &mut outcomes {
        if let Some(failure) = &mut outcome.failure {
            failure.line = outcome.counts.read + outcome.counts.directives;
        }
    }
    Scan { sinks, counts, outcomes }
}

/// A source that threads take turns in cutting.
struct Work<'s> {
    source: &'s Source,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    blocks: Option<Blocks<Input>>,
    is_done: bool,
    outcome: Outcome,
}

impl<'s> Work<'s> {
    fn new(source: &'s Source) -> Self {
        Self { source, state: Mutex::default() }
    }

    fn outcome(self) -> Outcome {
        self.state.into_inner().unwrap_or_else(PoisonError::into_inner).outcome
    }

    /// The next block, by the thread that has the turn; `None` when there is no more.
    fn cut(&self, state: &mut State, options: &Options, text: &mut Vec<u8>) -> Option<Block> {
        let cut = state.cut(self.source, options, text);
        let block = cut.unwrap_or_else(|source| {
            let origin = self.source.name().to_owned();
            state.outcome.failure = Some(ReadError { origin, line: 0, source });
            None
        });
        if block.is_none() {
            state.is_done = true;
            state.blocks = None;
        }
        block
    }
}

impl State {
    fn cut(
        &mut self,
        source: &Source,
        options: &Options,
        text: &mut Vec<u8>,
    ) -> std::io::Result<Option<Block>> {
        let blocks = match &mut self.blocks {
            Some(blocks) => blocks,
            None => {
                let begun = source.blocks(options)?;
                self.outcome.position = begun.position;
                self.outcome.continued = begun.continued;
                self.outcome.is_shorter = begun.is_shorter;
                self.blocks.insert(begun.blocks)
            }
        };
        let block = blocks.next(text)?;
        if block.is_some() {
            let (offset, headers) = blocks.position();
            let moved = self
                .outcome
                .position
                .as_ref()
                .map(|from| from.moved(offset, headers, blocks.tail()));
            self.outcome.position = moved;
        }
        Ok(block)
    }
}

/// Another block of any source: of the first one that nobody is cutting, or, if all are being cut, of
/// the first one that is not at its end.
fn next_block(
    work: &[Work<'_>],
    first_open: &mut usize,
    options: &Options,
    text: &mut Vec<u8>,
) -> Option<(usize, Block)> {
    if options.progress.stop.load(Ordering::Relaxed) {
        return None;
    }
    for waits in [false, true] {
        let mut all_done_so_far = true;
        for (index, work) in work.iter().enumerate().skip(*first_open) {
            let mut state = match work.state.try_lock() {
                Ok(state) => state,
                Err(TryLockError::Poisoned(state)) => state.into_inner(),
                Err(TryLockError::WouldBlock) if waits => {
                    work.state.lock().unwrap_or_else(PoisonError::into_inner)
                }
                Err(TryLockError::WouldBlock) => {
                    all_done_so_far = false;
                    continue;
                }
            };
            if !state.is_done
                && let Some(block) = work.cut(&mut state, options, text)
            {
                return Some((index, block));
            }
            if all_done_so_far {
                *first_open = index + 1;
            }
        }
    }
    None
}

/// One thread: takes blocks until there are none.
fn run<S: Sink>(work: &[Work<'_>], options: &Options, mut sink: S) -> (S, Vec<Counts>) {
    let mut counts = vec![Counts::default(); work.len()];
    let mut parser = options.parser();
    let (mut text, mut first_open) = (Vec::new(), 0);
    while let Some((source, block)) = next_block(work, &mut first_open, options, &mut text) {
        let Some(counts) = counts.get_mut(source) else { break };
        let before = counts.read + counts.directives;
        parse_block(&block, &text, source, &mut parser, counts, &mut sink);
        options.progress.bytes.fetch_add(text.len() as u64, Ordering::Relaxed);
        let lines = counts.read + counts.directives - before;
        options.progress.lines.fetch_add(lines, Ordering::Relaxed);
    }
    (sink, counts)
}

/// Gives every line of a block to the sink.
pub(crate) fn parse_block(
    block: &Block,
    text: &[u8],
    source: usize,
    parser: &mut Parser,
    counts: &mut Counts,
    sink: &mut (impl Sink + ?Sized),
) {
    parser.set_headers(block.headers.clone());
    let mut at = if block.offset == 0 { text.len() - without_mark(text).len() } else { 0 };
    loop {
        let offset = block.offset + at as u64;
        let Some(line) = block.line(text, &mut at) else { return };
        let (line, outcome) = match line {
            Line::Whole(line) if parser.is_directive(line) => {
                counts.directives += 1;
                continue;
            }
            Line::Whole(line) => (line, parser.parse(line)),
            Line::TooLong(line) => (line, Err(RejectReason::LineTooLong)),
            Line::CutOff(line) => (line, Err(RejectReason::CutOff)),
        };
        debug_assert!(line.len() <= LINE_BYTES_MAX);
        match outcome {
            Ok((format, record)) => {
                counts.add_parsed(format);
                sink.record(&record);
            }
            Err(reason) => {
                counts.add_rejected(reason);
                sink.reject(&Reject { source, offset, reason, line });
            }
        }
    }
}
