//! Keeps answers in memory, within a hard cap.
