//! `br` (RFC 7932).
//!
//! Never writes or reads the larger windows that are no part of the standard.

use ::brotli::enc::StandardAlloc;
use ::brotli::enc::encode::{
    BrotliEncoderCompressStream, BrotliEncoderCreateInstance, BrotliEncoderHasMoreOutput,
    BrotliEncoderIsFinished, BrotliEncoderOperation as Operation, BrotliEncoderParameter as Is,
    BrotliEncoderSetParameter, BrotliEncoderStateStruct, BrotliEncoderTakeOutput,
};
use ::brotli::{BrotliDecompressStream, BrotliResult, BrotliState};

use super::Encoder;
use super::decode::{Broken, Reader};

/// Bits of the window for a body whose length nobody knows: it streams beside many others, each with a window.
const STREAM_WINDOW: u32 = 18;

/// Bits of the smallest and the largest window for others: what is smaller saves nothing, what is larger is rarely
/// better and has clients hold as much.
const WINDOWS: (u32, u32) = (16, 22);

/// Writes one body.
pub(super) struct Writer {
    state: BrotliEncoderStateStruct<StandardAlloc>,
    /// Something was written since the last flush.
    is_open: bool,
}

impl Writer {
    /// At a level from 0 to 11.
    pub(super) fn new(level: u32, length: Option<u64>) -> Writer {
        let mut state = BrotliEncoderCreateInstance(StandardAlloc::default());
        let mut set = |parameter, value| BrotliEncoderSetParameter(&mut state, parameter, value);
        set(Is::BROTLI_PARAM_QUALITY, level);
        match length {
            None => set(Is::BROTLI_PARAM_LGWIN, STREAM_WINDOW),
            Some(length) => {
                let bits = length.max(1).ilog2() + 1;
                set(Is::BROTLI_PARAM_LGWIN, bits.clamp(WINDOWS.0, WINDOWS.1));
                let hint = u32::try_from(length).unwrap_or(u32::MAX);
                set(Is::BROTLI_PARAM_SIZE_HINT, hint)
            }
        };
        Writer {
            state,
            is_open: false,
        }
    }

    /// Until everything is taken, and unless `operation` is to go on also given.
    fn run(&mut self, piece: &[u8], operation: Operation, out: &mut Vec<u8>) {
        let (mut left, mut at) = (piece.len(), 0);
        loop {
            // Fails only after the end, and in operations that are not used here.
            let done = BrotliEncoderCompressStream(
                &mut self.state,
                operation,
                &mut left,
                piece,
                &mut at,
                &mut 0,
                &mut [],
                &mut 0,
                &mut None,
                &mut |_, _, _, _| (),
            );
            while BrotliEncoderHasMoreOutput(&self.state) != 0 {
                let mut size = 0; // All there is in one piece.
                let bytes = BrotliEncoderTakeOutput(&mut self.state, &mut size);
                out.extend_from_slice(&bytes[..size]);
            }
            let is_last = operation == Operation::BROTLI_OPERATION_FINISH;
            let is_given = !is_last || BrotliEncoderIsFinished(&self.state) != 0;
            if done == 0 || left == 0 && is_given {
                return;
            }
        }
    }
}

impl Encoder for Writer {
    fn write(&mut self, piece: &[u8], out: &mut Vec<u8>) {
        if !piece.is_empty() {
            self.is_open = true;
            self.run(piece, Operation::BROTLI_OPERATION_PROCESS, out);
        }
    }

    fn flush(&mut self, out: &mut Vec<u8>) {
        if std::mem::take(&mut self.is_open) {
            self.run(&[], Operation::BROTLI_OPERATION_FLUSH, out);
        }
    }

    fn finish(&mut self, out: &mut Vec<u8>) {
        self.run(&[], Operation::BROTLI_OPERATION_FINISH, out);
    }
}

/// Reads one body.
pub(super) struct Unbrotli {
    state: Box<BrotliState<StandardAlloc, StandardAlloc, StandardAlloc>>,
    /// Something was read.
    is_begun: bool,
    is_over: bool,
}

impl Unbrotli {
    pub(super) fn new() -> Unbrotli {
        let alloc = StandardAlloc::default;
        Unbrotli {
            state: Box::new(BrotliState::new_strict(alloc(), alloc(), alloc())),
            is_begun: false,
            is_over: false,
        }
    }
}

impl Reader for Unbrotli {
    fn read(&mut self, input: &mut &[u8], room: &mut [u8]) -> Result<usize, Broken> {
        self.is_begun |= !input.is_empty();
        let (mut left, mut taken) = (input.len(), 0);
        let (mut free, mut given) = (room.len(), 0);
        let result = match self.is_over {
            true => BrotliResult::ResultSuccess,
            false => BrotliDecompressStream(
                &mut left,
                &mut taken,
                input,
                &mut free,
                &mut given,
                room,
                &mut 0,
                &mut self.state,
            ),
        };
        *input = &input[taken..];
        match result {
            BrotliResult::ResultFailure => Err(Broken),
            BrotliResult::ResultSuccess if !input.is_empty() => Err(Broken),
            BrotliResult::ResultSuccess => {
                self.is_over = true;
                Ok(given)
            }
            BrotliResult::NeedsMoreInput | BrotliResult::NeedsMoreOutput => Ok(given),
        }
    }

    fn is_whole(&self) -> bool {
        self.is_over || !self.is_begun
    }
}
