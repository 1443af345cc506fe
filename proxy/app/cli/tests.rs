//! The words that every command teaches by: a changed one is seen in review.

use clap::CommandFactory;

use super::*;

#[test]
fn the_command_line_is_well_formed() {
    Cli::command().debug_assert();
}

#[test]
fn the_help_of_every_command_is_reviewed() {
    let mut cli = Cli::command().term_width(100);
    cli.build();
    let mut settings = insta::Settings::clone_current();
    settings.set_prepend_module_to_snapshot(false);
    settings.set_omit_expression(true);
    settings.bind(|| told(&mut cli, "tidegate"));
}

fn told(command: &mut clap::Command, name: &str) {
    // The value that a variable has where the tests run is nobody's business.
    let shown = command.clone().mut_args(|arg| arg.hide_env_values(true));
    insta::assert_snapshot!(name, shown.clone().render_long_help().to_string());
    for below in command.get_subcommands_mut() {
        let name = format!("{name}-{}", below.get_name());
        if !name.ends_with("-help") {
            told(below, &name);
        }
    }
}
