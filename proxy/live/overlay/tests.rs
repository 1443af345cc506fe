//! Laws of what is changed at run time.

use super::*;
use crate::config::checked::NodeAddr;

impl Overlay {
    /// Adds a node alone.
    fn add_one(&mut self, upstream: &str, file: &[Node], node: Node) -> Result<(), NoRoom> {
        let mut taken = self.taken(upstream, file);
        self.add(upstream, file, node, &mut taken)
    }
}

fn entry() -> Node {
    Node {
        id: "a".into(),
        addr: NodeAddr::Socket("127.0.0.1:1".parse().unwrap()),
        weight: 1,
        state: Intent::Up,
        backup: false,
        priority: 0,
        max_conns: None,
    }
}

#[test]
fn saying_what_the_file_says_is_no_drift() {
    let mut overlay = Overlay::default();
    overlay.set("web", "a", &entry(), Change::Intent(Intent::Drain));
    overlay.set("web", "a", &entry(), Change::Weight(5));
    assert_eq!(overlay.len(), 2);
    assert_eq!(overlay.of("web", "a").weight, Some(5));
    overlay.set("web", "a", &entry(), Change::Weight(1));
    overlay.set("web", "a", &entry(), Change::Intent(Intent::Up));
    assert!(overlay.is_empty());
}

#[test]
fn one_address_of_a_name_is_changed_alone_and_the_name_for_all() {
    let mut overlay = Overlay::default();
    let drain = Some(Intent::Drain);
    overlay.set("web", "a@10.0.0.1", &entry(), Change::Intent(Intent::Drain));
    assert_eq!(overlay.of("web", "a@10.0.0.1").intent, drain);
    assert_eq!(overlay.of("web", "a@10.0.0.2").intent, None);
    overlay.set("web", "a", &entry(), Change::Intent(Intent::Drain));
    assert_eq!(overlay.of("web", "a@10.0.0.2").intent, drain);
    overlay.set("web", "a@10.0.0.1", &entry(), Change::Intent(Intent::Up));
    assert_eq!(
        overlay.of("web", "a@10.0.0.1").intent,
        None,
        "as the file says"
    );
    assert_eq!(overlay.of("web", "a@10.0.0.2").intent, drain);
    overlay.set("web", "a", &entry(), Change::Intent(Intent::Up));
    assert!(overlay.is_empty());
}

const FILE: &str = "listen: [{ addr: \":1\" }]\nupstreams:\n  web:\n    nodes: [{ addr: 10.0.0.1:1, id: a }, { addr: 10.0.0.2:1, id: b }, { addr: 'c.internal:1', id: c }]\n  api:\n    nodes: [{ addr: 10.0.0.1:1, id: a }]\nroutes: [{ upstream: web }, { match: { path: /api }, upstream: api }]\n";

fn file(text: &str) -> Arc<Config> {
    let loaded = crate::config::load_text(text, "t", &|_| None);
    Arc::new(loaded.config.unwrap())
}

fn ids(config: &Config) -> Vec<&str> {
    let nodes = config.upstreams.iter().flat_map(|u| &u.nodes);
    nodes.map(|n| n.id.as_str()).collect()
}

fn new(id: &str, addr: &str) -> Node {
    Node {
        id: id.into(),
        addr: NodeAddr::Socket(addr.parse().unwrap()),
        ..entry()
    }
}

fn nodes(config: &Config) -> &[Node] {
    &config.upstreams[0].nodes
}

#[test]
fn nodes_come_behind_those_of_the_file_and_go_from_among_them() {
    let file = file(FILE);
    let mut overlay = Overlay::default();
    assert!(Arc::ptr_eq(&overlay.over(&file), &file), "nothing to do");
    overlay
        .add_one("web", nodes(&file), new("x", "10.0.0.9:1"))
        .unwrap();
    overlay.remove("web", "b");
    assert_eq!(ids(&overlay.over(&file)), ["a", "c", "x", "a"]);
    assert_eq!(overlay.len(), 2);
    assert!(overlay.is_added("web", "x") && !overlay.is_added("api", "x"));
    assert!(overlay.is_removed("web", "b") && !overlay.is_removed("web", "a"));
    let texts: Vec<String> = overlay
        .drift(&file)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        texts,
        [
            "web/b: removed at run time; the file names it (10.0.0.2:1, weight 1, up)",
            "web/x: added at run time (10.0.0.9:1, weight 1, up); the file does not name it",
        ]
    );
    // What was added is taken back, and what was set of it with it.
    overlay.set("web", "x", &new("x", "10.0.0.9:1"), Change::Weight(4));
    assert_eq!(overlay.over(&file).upstreams[0].nodes[2].weight, 4);
    overlay.remove("web", "x");
    overlay.forget("web", "b");
    assert!(overlay.is_empty());
}

#[test]
fn what_exists_cannot_be_added_by_its_id_or_by_its_address() {
    let file = file(FILE);
    let mut overlay = Overlay::default();
    for (id, addr) in [("a", "10.0.0.8:1"), ("x", "10.0.0.2:1")] {
        let no = overlay.add_one("web", nodes(&file), new(id, addr));
        assert!(matches!(no, Err(NoRoom::Exists(_))), "{no:?}");
    }
    assert!(overlay.is_empty());
    overlay
        .add_one("api", &file.upstreams[1].nodes, new("b", "10.0.0.2:1"))
        .unwrap();
    assert_eq!(overlay.len(), 1, "another upstream is another matter");
}

#[test]
fn a_removed_node_that_is_added_again_is_that_of_the_file() {
    let file = file(FILE);
    let mut overlay = Overlay::default();
    overlay.remove("web", "a");
    let again = Node {
        weight: 3,
        ..new("a", "10.0.0.1:1")
    };
    overlay.add_one("web", nodes(&file), again).unwrap();
    assert_eq!(ids(&overlay.over(&file))[0], "a", "where it stood");
    assert_eq!(overlay.of("web", "a").weight, Some(3));
    assert_eq!(overlay.len(), 1);
    // Another address is another node, and the file's entry cannot come back beside it.
    overlay.remove("web", "a");
    overlay
        .add_one("web", nodes(&file), new("a", "10.0.0.7:1"))
        .unwrap();
    assert_eq!(ids(&overlay.over(&file)), ["b", "c", "a", "a"]);
    assert_eq!(overlay.len(), 2);
    let mut other = Overlay::default();
    other.remove("web", "a");
    other
        .add_one("web", nodes(&file), new("y", "10.0.0.1:1"))
        .unwrap();
    assert_eq!(other.clash(&file), None);
    other.forget("web", "a");
    assert_eq!(other.clash(&file).as_deref(), Some("web/y"));
}

#[test]
fn the_file_has_the_last_word_of_what_it_changed() {
    let old = file(FILE);
    let mut overlay = Overlay::default();
    overlay
        .add_one("web", nodes(&old), new("x", "10.0.0.9:1"))
        .unwrap();
    overlay
        .add_one("web", nodes(&old), new("y", "10.0.0.8:1"))
        .unwrap();
    overlay
        .add_one("api", &old.upstreams[1].nodes, new("z", "10.0.0.8:1"))
        .unwrap();
    overlay.remove("web", "a");
    overlay.remove("web", "b");
    overlay.set("web", "c", &old.upstreams[0].nodes[2], Change::Weight(2));
    let kept = overlay.clone();
    let same = file(&FILE.replace("  web:\n", "  web:\n    balance: random\n"));
    assert_eq!(overlay.drop_changed(&old, &same), [""; 0]);
    assert_eq!(overlay, kept, "its nodes are the same");

    let text = FILE
        .replace("id: a }, {", "id: a, weight: 2 }, { addr: 10.0.0.9:1 }, {")
        .replace("  api:\n    nodes: [{ addr: 10.0.0.1:1, id: a }]\n", "")
        .replace(", { match: { path: /api }, upstream: api }", "");
    let new = file(&text);
    let notes = overlay.drop_changed(&old, &new);
    assert_eq!(
        notes,
        [
            "web/a: its entry changed in the file, so it is no longer removed",
            "api/z: its upstream is gone, and the node that was added at run time with it",
            "web/x: the file names it now, so the file says how it is",
        ]
    );
    assert_eq!(ids(&overlay.over(&new)), ["a", "10.0.0.9:1", "c", "y"]);
    assert_eq!(overlay.of("web", "c").weight, Some(2));
}

#[test]
fn what_is_wanted_of_the_file_leaves_nothing_over() {
    let old = file(FILE);
    let mut overlay = Overlay::default();
    overlay
        .add_one("web", nodes(&old), new("x", "10.0.0.9:1"))
        .unwrap();
    overlay.remove("web", "a");
    overlay.set(
        "web",
        "b",
        &old.upstreams[0].nodes[1],
        Change::Intent(Intent::Drain),
    );
    let wanted = Arc::new(overlay.wanted(&old).unwrap());
    assert_eq!(ids(&wanted), ["b", "c", "x", "a"]);
    assert_eq!(wanted.upstreams[0].nodes[0].state, Intent::Drain);
    assert!(overlay.without(&overlay, &wanted, &old).is_empty());
    // What somebody changed while the file was written is still a difference.
    let mut later = overlay.clone();
    later.set(
        "web",
        "b",
        &old.upstreams[0].nodes[1],
        Change::Intent(Intent::Up),
    );
    later.remove("web", "x");
    later.set(
        "web",
        "c@10.1.1.1",
        &old.upstreams[0].nodes[2],
        Change::Weight(7),
    );
    let rest = later.without(&overlay, &wanted, &old);
    let told: Vec<_> = rest
        .drift(&wanted)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        told,
        [
            "web/b: the file says state drain, it runs with up",
            "web/c@10.1.1.1: the file says weight 1, it runs with 7",
            "web/x: removed at run time; the file names it (10.0.0.9:1, weight 1, up)",
        ]
    );
    assert_eq!(ids(&rest.over(&wanted)), ids(&later.over(&old)));
    let why = later.wanted(&old).unwrap_err();
    assert!(
        why.contains("web/c@10.1.1.1 is one address of a name"),
        "{why}"
    );
    for id in ["a", "b", "c"] {
        later.remove("web", id);
    }
    let why = later.wanted(&old).unwrap_err();
    assert!(why.contains("web has no node left"), "{why}");
}

#[test]
fn as_many_as_there_is_room_for_come_at_once_and_not_one_more() {
    let file = file(FILE);
    let mut overlay = Overlay::default();
    let mut taken = overlay.taken("web", nodes(&file));
    let nth = |n: usize| new(&format!("n{n}"), &format!("10.1.{}.{}:1", n / 256, n % 256));
    for n in 0..MAX_ADDED {
        overlay
            .add("web", nodes(&file), nth(n), &mut taken)
            .unwrap();
    }
    assert_eq!(overlay.len(), MAX_ADDED);
    assert_eq!(
        overlay.add("web", nodes(&file), nth(MAX_ADDED), &mut taken),
        Err(NoRoom::Full)
    );
    assert_eq!(
        overlay.add("web", nodes(&file), nth(7), &mut taken),
        Err(NoRoom::Exists("n7".into()))
    );
}

mod laws {
    use super::*;
    use proptest::prelude::*;

    #[derive(Debug, Clone)]
    enum Step {
        Set(u8, Change),
        Add(u8, u8),
        Remove(u8),
        Forget(u8),
    }

    fn step() -> impl Strategy<Value = Step> {
        let change = prop_oneof![
            (0..3u32).prop_map(Change::Weight),
            prop_oneof![Just(Intent::Up), Just(Intent::Drain), Just(Intent::Down)]
                .prop_map(Change::Intent),
        ];
        prop_oneof![
            (0..6u8, change).prop_map(|(id, change)| Step::Set(id, change)),
            (0..6u8, 0..6u8).prop_map(|(id, addr)| Step::Add(id, addr)),
            (0..6u8).prop_map(Step::Remove),
            (0..6u8).prop_map(Step::Forget),
        ]
    }

    fn id(n: u8) -> String {
        char::from(b'a' + n).to_string()
    }

    proptest! {
        #[test]
        fn whatever_is_done_ids_are_unique_and_the_wanted_file_leaves_nothing_over(
            steps in prop::collection::vec(step(), 0..20),
        ) {
            let file = file(FILE);
            let mut overlay = Overlay::default();
            let mut taken = overlay.taken("web", nodes(&file));
            for step in steps {
                let before = overlay.clone();
                let entry = |id: &str| before.entry("web", nodes(&file), id).cloned();
                match step {
                    Step::Set(n, change) => {
                        if let Some(entry) = entry(&id(n)) {
                            overlay.set("web", &id(n), &entry, change);
                        }
                    }
                    Step::Add(n, addr) => {
                        let node = new(&id(n), &format!("10.0.0.{addr}:1"));
                        if overlay.add("web", nodes(&file), node, &mut taken).is_err() {
                            prop_assert_eq!(&overlay, &before, "a failed change changes nothing");
                        }
                    }
                    Step::Remove(n) => {
                        if let Some(entry) = entry(&id(n)) {
                            taken.goes(&entry);
                            overlay.remove("web", &id(n));
                        }
                    }
                    Step::Forget(n) => {
                        overlay.forget("web", &id(n));
                        if overlay.clash(&file).is_some() {
                            overlay = before;
                        }
                        taken = overlay.taken("web", nodes(&file));
                    }
                }
                prop_assert_eq!(&taken, &overlay.taken("web", nodes(&file)), "kept up as if made anew");
                let runs = overlay.over(&file);
                let mut ids: Vec<&str> = runs.upstreams[0].nodes.iter().map(|n| n.id.as_str()).collect();
                ids.sort_unstable();
                let count = ids.len();
                ids.dedup();
                prop_assert_eq!(ids.len(), count);
                prop_assert_eq!(overlay.len(), overlay.drift(&file).len());
                if let Ok(wanted) = overlay.wanted(&file) {
                    let wanted = Arc::new(wanted);
                    prop_assert_eq!(overlay.is_empty(), wanted == file);
                    // Told anew against the wanted file, nothing differs.
                    let rest = overlay.without(&Overlay::default(), &wanted, &file);
                    prop_assert!(rest.is_empty() || overlay.is_empty(), "{:?}", rest);
                }
            }
        }
    }
}
