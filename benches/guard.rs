//! The work whose instructions `scripts/bench-guard.sh` counts: requests to the express lane, so many of one kind.
//!
//! `guard SCENE TIMES` does it and says nothing, `guard --list` says which scenes there are and how many requests come
//! together in each. Called otherwise, as by `cargo bench`, it checks that every scene is answered as it should be. One
//! thread, and the same numbers drawn in every run: nothing here may depend on time or chance.

mod scenes;

use std::process::ExitCode;

use scenes::{Scene, Site};

/// The program's own: memory is much of what a request costs.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let scenes = Scene::all();
    match words[..] {
        ["--list"] => {
            for scene in scenes {
                println!("{} {}", scene.name, scene.together);
            }
        }
        [name, times] => {
            let scene = scenes.iter().find(|scene| scene.name == name);
            let (Some(scene), Ok(times)) = (scene, times.parse()) else {
                eprintln!("guard: there is no scene {name:?}, or {times:?} is not a number");
                return ExitCode::FAILURE;
            };
            Site::open().is_asked(scene, times);
        }
        _ => {
            let site = Site::open();
            for scene in scenes {
                site.is_asked(&scene, 1_000);
            }
            println!("every scene is answered as it should be; scripts/bench-guard.sh counts");
        }
    }
    ExitCode::SUCCESS
}
