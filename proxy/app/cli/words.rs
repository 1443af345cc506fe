//! The words of the commands that print what the program knows of itself.

use std::path::PathBuf;

use clap::Args;
use clap_complete::Shell;

/// `completions`
#[derive(Debug, Args)]
#[command(after_help = COMPLETIONS)]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

const COMPLETIONS: &str = "\
Examples:
  tidegate completions bash > /etc/bash_completion.d/tidegate
  tidegate completions zsh > \"${fpath[1]}/_tidegate\"
  tidegate completions fish > ~/.config/fish/completions/tidegate.fish";

/// `man`
#[derive(Debug, Args)]
#[command(after_help = MAN)]
pub struct ManArgs {
    /// Write a page for each command into this folder, which is there, instead of one page with all of them.
    #[arg(long, value_name = "DIR")]
    pub dir: Option<PathBuf>,
}

const MAN: &str = "\
Examples:
  tidegate man | man -l -
  tidegate man --dir /usr/local/share/man/man1";
