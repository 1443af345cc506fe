//! What the program says of itself: completions, the manual, the shape of the file.
//!
//! Out of the command line and the table of shapes as they are, so that none of it can say something else. Made in
//! memory and printed at once: a reader that leaves breaks nothing.

use std::io;
use std::process::ExitCode;

use clap::{Command, CommandFactory};
use clap_mangen::Man;

use super::cli::{Cli, CompletionsArgs, ManArgs};
use super::say;
use crate::config::json_schema;

/// `tidegate schema`
pub fn schema() -> ExitCode {
    say::line(format_args!("{:#}", json_schema::json_schema()));
    ExitCode::SUCCESS
}

/// `tidegate completions`
pub fn completions(args: &CompletionsArgs) -> ExitCode {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "tidegate", &mut script);
    say::out(String::from_utf8_lossy(&script));
    ExitCode::SUCCESS
}

/// `tidegate man`
pub fn man(args: &ManArgs) -> ExitCode {
    let cli = Cli::command().disable_help_subcommand(true);
    let done = match &args.dir {
        Some(dir) => clap_mangen::generate_to(cli, dir),
        None => one_page(cli).map(|page| say::out(String::from_utf8_lossy(&page))),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(e) => {
            let dir = args.dir.clone().unwrap_or_default();
            say::complain(format_args!(
                "error: cannot write the manual into {}: {e}\n  = help: the folder must be there and writable",
                dir.display()
            ));
            ExitCode::FAILURE
        }
    }
}

/// The manual in one page: the program, then each command as a section.
fn one_page(mut cli: Command) -> io::Result<Vec<u8>> {
    cli.build();
    let mut page = Vec::new();
    let man = Man::new(cli.clone());
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    for command in cli.get_subcommands() {
        sections(command, &mut page)?;
    }
    man.render_extra_section(&mut page)?;
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// What there is to say of a command and of those below it.
fn sections(command: &Command, page: &mut Vec<u8>) -> io::Result<()> {
    let mut own = Vec::new();
    let man = Man::new(command.clone());
    man.render_synopsis_section(&mut own)?;
    man.render_description_section(&mut own)?;
    man.render_options_section(&mut own)?;
    if command.get_after_help().is_some() {
        man.render_extra_section(&mut own)?;
    }
    let title = command.get_bin_name().unwrap_or(command.get_name());
    page.extend_from_slice(format!(".SH \"{}\"\n", title.to_uppercase()).as_bytes());
    // Its own sections stand below its name.
    for line in String::from_utf8_lossy(&own).lines() {
        let line = match line.strip_prefix(".SH") {
            Some(name) => format!(".SS{name}\n"),
            None => format!("{line}\n"),
        };
        page.extend_from_slice(line.as_bytes());
    }
    for below in command.get_subcommands() {
        sections(below, page)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_page_has_every_command_with_its_flags() {
        let page =
            one_page(Cli::command().disable_help_subcommand(true)).expect("a page in memory");
        let page = String::from_utf8(page).expect("text");
        let plain = page.replace("\\-", "-");
        for section in [
            ".TH",
            ".SH NAME",
            ".SH \"TIDEGATE RUN\"",
            ".SH \"TIDEGATE CACHE EXPLAIN\"",
            ".SS OPTIONS",
            "--min-time",
            "Exit codes",
        ] {
            assert!(plain.contains(section), "{section} is missing in:\n{plain}");
        }
    }
}
