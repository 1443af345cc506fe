//! What of the lines is left when a disk is full.

use super::*;

/// Takes so many bytes, and then none.
struct Full(Vec<u8>, usize);

impl Write for Full {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let room = self.1 - self.0.len();
        if room == 0 {
            return Err(ErrorKind::StorageFull.into());
        }
        self.0.extend_from_slice(&bytes[..room.min(bytes.len())]);
        Ok(room.min(bytes.len()))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn a_full_disk_costs_whole_lines_which_are_counted_and_none_runs_into_another() {
    let lines = b"one\ntwo\nthree\n";
    // (bytes that find room, lines that are lost, what is there once there is room again)
    for (room, lost, there) in [
        (0, 3, "next\n"),
        (2, 2, "one\nnext\n"),
        (4, 2, "one\nnext\n"),
        (7, 1, "one\ntwo\nnext\n"),
        (13, 0, "one\ntwo\nthree\nnext\n"),
    ] {
        let mut sink = Sink {
            to: Full(Vec::new(), room),
            path: None,
            rest: Vec::new(),
        };
        let failed = sink.put(lines).unwrap_err();
        assert_eq!(failed.lines, lost, "with room for {room}");
        assert_eq!(failed.error.kind(), ErrorKind::StorageFull);
        assert_eq!(sink.put(b"again\n").unwrap_err().lines, 1);
        sink.to.1 = 100;
        sink.put(b"next\n").unwrap();
        assert_eq!(String::from_utf8_lossy(&sink.to.0), there);
    }
}
