//! Verbs at run time: who has seen another generation changes nothing, and a generation tells each node only what
//! concerns it.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use super::*;
use crate::base::node::Health;
use crate::live::control::Unsaved;
use crate::live::control::words::Reloaded;
use crate::live::source::Source;
use crate::telemetry::metrics::Metrics;

const WEB: &str = "upstreams:\n  web:\n    health: { initial: probe }\n    nodes:\n      - { addr: \"127.0.0.1:1\", id: a }\n      - { addr: \"127.0.0.1:2\", id: b }\n";

/// A proxy with a file of its own.
struct Stage {
    control: Control,
    path: PathBuf,
    _dir: tempfile::TempDir,
}

impl Stage {
    fn of(upstreams: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("tidegate.yaml");
        std::fs::write(&path, whole(upstreams)).unwrap();
        let source = Source::File(path.clone());
        let loaded = source.load();
        let config = loaded.config.clone().unwrap();
        let now = Instant::now();
        let control =
            Control::start(source, config, &loaded, Metrics::new("1"), true, now).unwrap();
        Stage {
            control,
            path,
            _dir: dir,
        }
    }

    fn reload(&self, upstreams: &str) {
        std::fs::write(&self.path, whole(upstreams)).unwrap();
        let reloaded = self.control.reload("test", false);
        assert!(matches!(reloaded, Reloaded::Applied { .. }), "{reloaded:?}");
    }

    fn generation(&self) -> u64 {
        self.control.hold.load().generation
    }

    fn node(&self, id: &str) -> Arc<crate::balance::node::Node> {
        let snapshot = self.control.hold.load();
        let mut candidates = snapshot.upstreams[0].pool.candidates().iter();
        let found = candidates.find(|c| &*c.node.id == id);
        found.unwrap().node.clone()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(&self.path).unwrap()
    }
}

fn whole(upstreams: &str) -> String {
    format!(
        "listen: [{{ addr: \"127.0.0.1:0\" }}]\naccess_log: {{ format: \"off\" }}\n{upstreams}routes: [{{ upstream: web }}]\n"
    )
}

fn asked(id: &str, verb: Verb) -> Asked {
    Asked {
        upstream: "web".into(),
        node: id.into(),
        verb,
    }
}

fn weight(id: &str, weight: u32) -> Asked {
    let verb = Verb::Set {
        intent: None,
        weight: Some(weight),
    };
    asked(id, verb)
}

fn coming(id: &str, addr: &str) -> Asked {
    let node = Node {
        id: id.into(),
        addr: NodeAddr::Socket(addr.parse().unwrap()),
        weight: 1,
        state: Intent::Up,
        backup: false,
        priority: 0,
        max_conns: None,
    };
    asked(id, Verb::Add(Box::new(node)))
}

#[test]
fn who_has_seen_another_generation_changes_nothing() {
    let stage = Stage::of(WEB);
    let control = &stage.control;
    let seen = stage.generation();
    control.ask(weight("a", 5), Some(seen)).unwrap();
    let is = stage.generation();
    assert_ne!(seen, is, "somebody else was faster");
    let other = VerbError::OtherGeneration { expected: seen, is };
    let (drifted, text) = (control.drifted(), stage.text());

    let late = Some(seen);
    assert_eq!(control.ask(weight("b", 7), late).err(), Some(other.clone()));
    assert_eq!(
        control.ask_all(&[weight("b", 7)], late),
        Err(other.clone()),
        "all of them are refused as one"
    );
    assert_eq!(control.forget(None, late), Err(other.clone()));
    for dry in [true, false] {
        let no = control.save("test", dry, late);
        assert_eq!(no, Err(Unsaved::Other(other.clone())));
    }
    assert_eq!(
        (control.drifted(), stage.text(), stage.generation()),
        (drifted, text, is)
    );

    let saved = control.save("test", false, Some(is)).unwrap();
    assert!(stage.text().contains("weight: 5"), "{}", stage.text());
    control.ask(weight("b", 7), Some(saved.generation)).unwrap();
    let (dropped, _) = control.forget(None, Some(stage.generation())).unwrap();
    assert_eq!(dropped.len(), 1);
}

#[test]
fn within_a_batch_what_came_is_in_the_way_and_what_went_is_not() {
    let stage = Stage::of(WEB);
    let batch = [
        coming("c", "127.0.0.1:3"),
        coming("d", "127.0.0.1:3"),
        coming("d", "127.0.0.1:2"),
        asked("b", Verb::Remove),
        coming("d", "127.0.0.1:2"),
        asked("c", Verb::Remove),
        coming("e", "127.0.0.1:3"),
        coming("a", "127.0.0.1:9"),
    ];
    let before = stage.generation();
    let ended = stage.control.ask_all(&batch, None).unwrap();
    let well: Vec<bool> = ended.iter().map(Result::is_ok).collect();
    assert_eq!(well, [true, false, false, true, true, true, true, false]);
    let snapshot = stage.control.hold.load();
    let nodes = &snapshot.config.upstreams[0].nodes;
    let ids: Vec<&str> = nodes.iter().map(|node| node.id.as_str()).collect();
    assert_eq!(ids, ["a", "d", "e"]);
    assert_eq!(snapshot.generation, before + 1, "one generation for all");
}

#[test]
fn of_many_nodes_only_the_one_that_moved_starts_its_health_anew_and_the_one_that_went_drains() {
    let nth = |n: usize| format!("      - {{ addr: \"127.0.0.1:{n}\", id: n{n} }}\n");
    let head = "upstreams:\n  web:\n    health: { initial: healthy }\n    nodes:\n";
    let file = |nodes: &[String]| format!("{head}{}", nodes.concat());
    let mut nodes: Vec<String> = (1..=200).map(nth).collect();
    let stage = Stage::of(&file(&nodes));
    let now = Instant::now();
    let health = |id: &str| stage.node(id).view(now + Duration::from_secs(1)).health;
    for n in 1..=200 {
        let down = crate::balance::node::Input::Restart(Health::Unhealthy);
        stage
            .control
            .apply(&stage.node(&format!("n{n}")), down, now);
    }
    let (gone, stays) = (stage.node("n100"), stage.node("n101"));
    nodes[49] = nodes[49].replace("127.0.0.1:50", "127.0.0.2:50");
    let removed = nodes.remove(99);
    stage.reload(&file(&nodes));
    assert_eq!(health("n50"), Health::Healthy, "it is another server now");
    assert_eq!(health("n51"), Health::Unhealthy);
    assert!(Arc::ptr_eq(&stays, &stage.node("n101")));
    assert_eq!(stays.view(now).intent, Intent::Up);
    assert_eq!(gone.view(now).intent, Intent::Drain);
    let leaving = stage.control.leaving();
    let leaving: Vec<_> = leaving.iter().map(|l| &*l.node.id).collect();
    assert_eq!(leaving, ["n100"]);
    // It comes back before it has left: the same node, where it was.
    nodes.push(removed);
    stage.reload(&file(&nodes));
    assert!(Arc::ptr_eq(&gone, &stage.node("n100")));
    assert_eq!(gone.view(now).intent, Intent::Up);
    assert_eq!(health("n100"), Health::Unhealthy, "it has not moved");
    assert!(stage.control.leaving().is_empty());
}
