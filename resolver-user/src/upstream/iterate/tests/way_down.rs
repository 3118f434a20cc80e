//! The way from the root to an answer, and what stands in it.

use std::time::Duration;

use tokio::time::Instant;

use super::world::{Manner, ROOT, Scene, World};
use crate::config::Families;
use crate::upstream::UPSTREAM_QUERIES_MAX;
use crate::wire::{RCode, RecordType};

pub(super) const ROOT_ZONE: &str = ". 3600 SOA\n. 3600 NS ns.root.\nns.root. 3600 A 192.0.2.1\n\
    org. 3600 NS ns.org.\nns.org. 3600 A 192.0.2.2\n\
    net. 3600 NS ns.net.\nns.net. 3600 A 192.0.2.3\n";
pub(super) const ORG_ZONE: &str = "org. 3600 SOA\n\
    example.org. 3600 NS ns1.example.org.\nexample.org. 3600 NS ns2.example.org.\n\
    ns1.example.org. 3600 A 192.0.2.11\nns2.example.org. 3600 A 192.0.2.12\n\
    glueless.org. 3600 NS ns.hosting.net.\n";
pub(super) const EXAMPLE_ZONE: &str = "example.org. 3600 SOA\nexample.org. 3600 A 198.51.100.1\nwww.example.org. 60 A 198.51.100.2\n\
    a.b.c.example.org. 60 A 198.51.100.3\nalias.example.org. 60 CNAME www.example.org.\n\
    out.example.org. 60 CNAME www.glueless.org.\n";
pub(super) const NET_ZONE: &str =
    "net. 3600 SOA\nhosting.net. 3600 NS ns.hosting.net.\nns.hosting.net. 3600 A 192.0.2.21\n";
pub(super) const HOSTING_ZONE: &str = "hosting.net. 3600 SOA\nns.hosting.net. 3600 A 192.0.2.21\n";
pub(super) const GLUELESS_ZONE: &str = "glueless.org. 3600 SOA\nwww.glueless.org. 60 A 198.51.100.4\n";

/// A world in which everything is well.
pub(super) fn world() -> World {
    World::default()
        .host(ROOT, Manner::Good, &[(".", ROOT_ZONE)])
        .host("192.0.2.2", Manner::Good, &[("org.", ORG_ZONE)])
        .host("192.0.2.3", Manner::Good, &[("net.", NET_ZONE)])
        .host("192.0.2.11", Manner::Good, &[("example.org.", EXAMPLE_ZONE)])
        .host("192.0.2.12", Manner::Good, &[("example.org.", EXAMPLE_ZONE)])
        .host("192.0.2.21", Manner::Good, &[("hosting.net.", HOSTING_ZONE), ("glueless.org.", GLUELESS_ZONE)])
}

/// What was asked, servers of `example.org` all called 11.
pub(super) fn asked(scene: &Scene) -> Vec<String> {
    scene.world.asked().into_iter().map(|line| line.replace("12 ", "11 ")).collect()
}

#[tokio::test(start_paused = true)]
async fn the_root_is_asked_for_its_servers_and_each_zone_for_no_more_than_it_must_know() {
    let scene = Scene::new(world());
    assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2");
    assert_eq!(asked(&scene), ["1 . NS", "1 org. A", "2 example.org. A", "11 www.example.org. A"]);
    assert_eq!(scene.told("example.org.", RecordType::A).await, "NOERROR 198.51.100.1");
    assert_eq!(asked(&scene), ["11 example.org. A"], "the way is known");
    assert_eq!(scene.told("nowhere.example.org.", RecordType::TXT).await, "NXDOMAIN");
    assert_eq!(asked(&scene), ["11 nowhere.example.org. TXT"]);
    assert_eq!(scene.told("x.y.nowhere.", RecordType::A).await, "NXDOMAIN");
    assert_eq!(asked(&scene), ["1 nowhere. A"], "the root is believed, and not told what was looked for");
    assert_eq!(scene.metrics.upstream_referrals.value(), 2);
}

#[tokio::test(start_paused = true)]
async fn names_between_zones_are_asked_for_once() {
    let scene = Scene::new(world());
    assert_eq!(scene.told("a.b.c.example.org.", RecordType::A).await, "NOERROR 198.51.100.3");
    let below = ["11 c.example.org. A", "11 b.c.example.org. A", "11 a.b.c.example.org. A"];
    assert_eq!(asked(&scene)[3..], below);
    assert_eq!(scene.told("x.b.c.example.org.", RecordType::A).await, "NXDOMAIN");
    assert_eq!(asked(&scene), ["11 x.b.c.example.org. A"], "what lies between is known to be no zone");
}

#[tokio::test(start_paused = true)]
async fn whatever_servers_make_of_a_shortened_name_the_whole_one_is_answered() {
    for manner in [Manner::DeniesEmpty, Manner::Knows(&[RecordType::TXT]), Manner::Good] {
        let zone = format!("{EXAMPLE_ZONE}t.b.c.example.org. 60 TXT hello\n");
        let scene = Scene::new(world().host("192.0.2.11", manner.clone(), &[("example.org.", &zone)]).host(
            "192.0.2.12",
            manner.clone(),
            &[("example.org.", &zone)],
        ));
        assert_eq!(scene.told("t.b.c.example.org.", RecordType::TXT).await, "NOERROR TXT", "{manner:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_minimisation_everybody_is_told_everything() {
    let scene = Scene::with(world(), |config| config.iterating.minimising.0 = false);
    scene.told("www.example.org.", RecordType::A).await;
    let expected = ["1 . NS", "1 www.example.org. A", "2 www.example.org. A", "11 www.example.org. A"];
    assert_eq!(asked(&scene), expected);
}

#[tokio::test(start_paused = true)]
async fn the_ds_of_a_zone_is_asked_of_the_zone_above() {
    let with_ds = format!("{ORG_ZONE}example.org. 3600 DS x\n");
    let scene = Scene::new(world());
    scene.world.serve("192.0.2.2", &[("org.", &with_ds)]);
    scene.told("www.example.org.", RecordType::A).await;
    scene.world.asked();
    assert_eq!(scene.told("example.org.", RecordType::DS).await, "NOERROR DS");
    assert_eq!(asked(&scene), ["2 example.org. DS"]);
    assert_eq!(scene.told("glueless.org.", RecordType::DS).await, "NOERROR", "there is none, says the parent");
    assert_eq!(scene.told(".", RecordType::DS).await, "NOERROR");
}

#[tokio::test(start_paused = true)]
async fn addresses_of_servers_elsewhere_are_looked_up() {
    let scene = Scene::new(world());
    assert_eq!(scene.told("www.glueless.org.", RecordType::A).await, "NOERROR 198.51.100.4");
    let looked_up = ["1 net. A", "3 hosting.net. A", "21 ns.hosting.net. A", "21 www.glueless.org. A"];
    assert_eq!(asked(&scene)[3..], looked_up);
}

#[tokio::test(start_paused = true)]
async fn an_alias_within_the_zone_is_followed_by_its_server_and_one_that_leads_out_is_left_to_whoever_asked() {
    let scene = Scene::new(world());
    assert_eq!(scene.told("alias.example.org.", RecordType::A).await, "NOERROR →www.example.org.");
    assert_eq!(scene.told("out.example.org.", RecordType::A).await, "NOERROR →www.glueless.org.");
    // A server may say what it likes of others' names.
    let poisoned = format!("{EXAMPLE_ZONE}www.glueless.org. 60 A 203.0.113.66\n");
    scene
        .world
        .serve("192.0.2.11", &[("example.org.", &poisoned), ("glueless.org.", "www.glueless.org. 60 A 203.0.113.66")]);
    assert_eq!(scene.told("out.example.org.", RecordType::A).await, "NOERROR →www.glueless.org.");
    assert_eq!(scene.told("www.glueless.org.", RecordType::A).await, "NOERROR 198.51.100.4");
}

#[tokio::test(start_paused = true)]
async fn glue_for_names_outside_of_the_zone_is_not_believed() {
    // The servers of org name one of net's and say where it is. It is net's to say.
    let poisoned = format!("{ORG_ZONE}ns.hosting.net. 3600 A 192.0.2.66\n");
    let scene = Scene::new(world().host(
        "192.0.2.66",
        Manner::Good,
        &[("glueless.org.", "www.glueless.org. 60 A 203.0.113.66")],
    ));
    scene.world.serve("192.0.2.2", &[("org.", &poisoned)]);
    assert_eq!(scene.told("www.glueless.org.", RecordType::A).await, "NOERROR 198.51.100.4");
    assert!(!scene.world.asked().iter().any(|line| line.starts_with("66 ")));
}

#[tokio::test(start_paused = true)]
async fn nobody_has_us_ask_ourselves() {
    let own =
        format!("{ORG_ZONE}me.org. 3600 NS ns.me.org.\nns.me.org. 3600 A 127.0.0.1\nns.me.org. 3600 A 192.0.2.99\n");
    let scene = Scene::new(world().host("127.0.0.1", Manner::Good, &[]).host("192.0.2.99", Manner::Good, &[]));
    scene.world.serve("192.0.2.2", &[("org.", &own)]);
    scene.recursor.note_own(&[super::world::at("192.0.2.99")]);
    assert!(scene.told("www.me.org.", RecordType::A).await.starts_with("error"));
    assert!(!scene.world.asked().iter().any(|line| line.starts_with("99 ") || line.contains("1 www.me.org")));
}

#[tokio::test(start_paused = true)]
async fn one_dead_server_costs_a_moment_once_and_lost_packets_cost_tries() {
    let scene = Scene::new(world());
    scene.world.change("192.0.2.11", Manner::Silent);
    let started = Instant::now();
    for number in 0..20 {
        assert_eq!(scene.told(&format!("h{number}.example.org."), RecordType::A).await, "NXDOMAIN");
    }
    let took = started.elapsed();
    assert!(took < Duration::from_secs(3), "{took:?}");
    scene.world.change("192.0.2.12", Manner::Loses(5));
    assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2");
    assert!(scene.metrics.upstream_timeouts.value() > 5);
}

#[tokio::test(start_paused = true)]
async fn a_server_that_is_slower_than_anybody_waits_for_is_heard_nevertheless() {
    let scene = Scene::new(world());
    for server in ["192.0.2.2", "192.0.2.11", "192.0.2.12"] {
        scene.world.change(server, Manner::Slow(1900));
    }
    let started = Instant::now();
    assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2");
    assert!(started.elapsed() < Duration::from_secs(4), "{:?}", started.elapsed());
    scene.world.asked();
    // Now it is known how slow they are.
    assert_eq!(scene.told("example.org.", RecordType::A).await, "NOERROR 198.51.100.1");
    assert!(scene.world.asked().len() <= 3);
}

#[tokio::test(start_paused = true)]
async fn servers_that_are_of_no_use_are_passed_over() {
    for manner in [
        Manner::Says(RCode::SERVFAIL),
        Manner::Says(RCode::REFUSED),
        Manner::Empty,
        Manner::Cache,
        Manner::Silent,
        Manner::NoEdns,
    ] {
        let scene = Scene::new(world());
        for bad in ["192.0.2.11", "192.0.2.12"] {
            scene.world.change("192.0.2.11", Manner::Good);
            scene.world.change("192.0.2.12", Manner::Good);
            scene.world.change(bad, manner.clone());
            for _ in 0..4 {
                assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2", "{manner:?}");
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn what_no_server_says_better_is_taken_from_a_cache() {
    for manner in [Manner::Cache, Manner::WithoutAa] {
        let scene = Scene::new(world());
        for server in ["192.0.2.11", "192.0.2.12"] {
            scene.world.change(server, manner.clone());
        }
        assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2", "{manner:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_lame_server_is_remembered() {
    let scene = Scene::new(world());
    // It refers to its own zone, without AA.
    let lame = "org. 60 SOA\nexample.org. 60 NS ns1.example.org.\n";
    scene.world.serve("192.0.2.11", &[("org.", lame)]);
    for _ in 0..10 {
        assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2");
    }
    assert!(scene.metrics.upstream_lame.value() <= 1);
    let to_lame = scene.world.asked().iter().filter(|line| line.starts_with("11 ")).count();
    assert!(to_lame <= 1, "{to_lame}");
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_its_parent_has_dropped_is_gone_with_the_ttl_whatever_its_servers_say() {
    let scene = Scene::new(world());
    assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2");
    scene.world.serve("192.0.2.2", &[("org.", "org. 3600 SOA\n")]);
    for _ in 0..6 {
        // Asked all the time, its servers name themselves each time.
        scene.clock.advance_s(500);
        assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2");
        scene.told("example.org.", RecordType::NS).await;
    }
    scene.clock.advance_s(700);
    assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NXDOMAIN");
}

#[tokio::test(start_paused = true)]
async fn a_zone_that_has_moved_is_found_at_its_new_servers() {
    let scene = Scene::new(world().host("192.0.2.13", Manner::Good, &[("example.org.", EXAMPLE_ZONE)]));
    scene.told("example.org.", RecordType::A).await;
    let moved = "org. 3600 SOA\nexample.org. 3600 NS ns3.example.org.\nns3.example.org. 3600 A 192.0.2.13\n";
    scene.world.serve("192.0.2.2", &[("org.", moved)]);
    for server in ["192.0.2.11", "192.0.2.12"] {
        scene.world.change(server, Manner::Says(RCode::REFUSED));
    }
    assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2");
}

#[tokio::test(start_paused = true)]
async fn where_parent_and_child_disagree_each_may_be_right() {
    // The child names another server, which is the only one that answers by now.
    let zone = format!("{EXAMPLE_ZONE}example.org. 3600 NS ns.hosting.net.\n");
    let scene = Scene::new(world());
    for server in ["192.0.2.11", "192.0.2.12"] {
        scene.world.serve(server, &[("example.org.", &zone)]);
    }
    scene.world.serve("192.0.2.21", &[("hosting.net.", HOSTING_ZONE), ("example.org.", &zone)]);
    scene.told("example.org.", RecordType::NS).await;
    for server in ["192.0.2.11", "192.0.2.12"] {
        scene.world.change(server, Manner::Says(RCode::SERVFAIL));
    }
    assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2");
    // A server's own zone says that it is elsewhere; the glue of that zone is right.
    let scene = Scene::new(world().host("192.0.2.66", Manner::Says(RCode::SERVFAIL), &[]));
    let wrong = "hosting.net. 3600 SOA\nns.hosting.net. 3600 A 192.0.2.66\n";
    scene.world.serve("192.0.2.21", &[("hosting.net.", wrong), ("glueless.org.", GLUELESS_ZONE)]);
    assert_eq!(scene.told("www.glueless.org.", RecordType::A).await, "NOERROR 198.51.100.4");
}

#[tokio::test(start_paused = true)]
async fn a_name_is_too_long_only_if_a_dname_makes_it_so() {
    let scene = Scene::new(world());
    for server in ["192.0.2.11", "192.0.2.12"] {
        scene.world.change(server, Manner::Says(RCode::YXDOMAIN));
    }
    let told = scene.told("www.example.org.", RecordType::A).await;
    assert!(told.ends_with("answered YXDOMAIN"), "no DNAME makes it too long: {told}");
}

#[tokio::test(start_paused = true)]
async fn a_delegation_to_many_servers_without_addresses_is_not_followed_far() {
    // NXNSAttack: each name is another zone's, and none exists.
    let names: String = (0..100).map(|n| format!("victim.org. 3600 NS ns{n}.target{n}.net.\n")).collect();
    let scene = Scene::new(world());
    scene.world.serve("192.0.2.2", &[("org.", &format!("{ORG_ZONE}{names}"))]);
    assert!(scene.told("www.victim.org.", RecordType::A).await.starts_with("error"));
    let asked = scene.world.asked().len();
    assert!(asked < 20, "{asked} queries");
}

#[tokio::test(start_paused = true)]
async fn zones_that_wait_for_each_others_servers_end() {
    let circle = "net. 3600 SOA\na.net. 3600 NS ns.b.net.\nb.net. 3600 NS ns.a.net.\nself.net. 3600 NS ns.self.net.\n";
    let scene = Scene::new(world());
    scene.world.serve("192.0.2.3", &[("net.", circle)]);
    for qname in ["www.a.net.", "www.self.net."] {
        assert!(scene.told(qname, RecordType::A).await.starts_with("error"), "{qname}");
        let asked = scene.world.asked().len();
        assert!(asked < 30, "{qname}: {asked} queries");
    }
}

#[tokio::test(start_paused = true)]
async fn a_chain_of_delegations_without_addresses_ends_with_the_allowance() {
    // Each zone's server is in the next zone.
    let zones: String = (0..500).map(|n| format!("z{n}.net. 0 NS ns.z{}.net.\n", n + 1)).collect();
    let scene = Scene::new(world());
    scene.world.serve("192.0.2.3", &[("net.", &format!("net. 3600 SOA\n{zones}"))]);
    assert!(scene.told("www.z0.net.", RecordType::A).await.starts_with("error"));
    assert!(scene.world.asked().len() < UPSTREAM_QUERIES_MAX as usize / 2);
}

#[tokio::test(start_paused = true)]
async fn one_ip_version_is_enough() {
    let zone =
        "org. 3600 SOA\nv6.org. 3600 NS ns.v6.org.\nns.v6.org. 3600 A 192.0.2.31\nns.v6.org. 3600 AAAA 2001:db8::31\n";
    let v6 = "v6.org. 3600 SOA\nwww.v6.org. 60 A 198.51.100.6\n";
    let dual = || {
        world().host("192.0.2.2", Manner::Good, &[("org.", zone)]).host("192.0.2.31", Manner::Silent, &[]).host(
            "2001:db8::31",
            Manner::Good,
            &[("v6.org.", v6)],
        )
    };
    let scene = Scene::new(dual());
    assert_eq!(scene.told("www.v6.org.", RecordType::A).await, "NOERROR 198.51.100.6");
    let scene = Scene::with(dual(), |config| config.iterating.recursive = Some(Families::Ipv4));
    assert!(scene.told("www.v6.org.", RecordType::A).await.starts_with("error"));
    assert!(!scene.world.asked().iter().any(|line| line.starts_with("2001")));
}

#[tokio::test(start_paused = true)]
async fn a_stub_zone_is_asked_at_its_own_servers_and_goes_on_below() {
    let corp = "corp.test. 60 SOA\nwww.corp.test. 60 A 198.51.100.7\nsub.corp.test. 60 NS ns.sub.corp.test.\n\
                ns.sub.corp.test. 60 A 192.0.2.42\n";
    let sub = "sub.corp.test. 60 SOA\nwww.sub.corp.test. 60 A 198.51.100.8\n";
    let world = world().host("192.0.2.41", Manner::Good, &[("corp.test.", corp)]).host(
        "192.0.2.42",
        Manner::Good,
        &[("sub.corp.test.", sub)],
    );
    let config =
        crate::config::load(&["--stub=/corp.test/192.0.2.41".into(), "--xdp=off".into(), "--no-resolv".into()]);
    let servers = config.unwrap().upstream.servers;
    let scene = Scene::with(world, |config| config.servers = servers);
    assert_eq!(scene.told("www.corp.test.", RecordType::A).await, "NOERROR 198.51.100.7");
    assert_eq!(scene.told("www.sub.corp.test.", RecordType::A).await, "NOERROR 198.51.100.8");
    let expected = ["41 www.corp.test. A", "41 sub.corp.test. A", "42 www.sub.corp.test. A"];
    assert_eq!(scene.world.asked(), expected);
}

#[tokio::test(start_paused = true)]
async fn a_dead_root_is_an_error_in_time() {
    let scene = Scene::new(World::default());
    let started = Instant::now();
    assert!(scene.told("www.example.org.", RecordType::A).await.starts_with("error"));
    assert!(started.elapsed() <= Duration::from_secs(11), "{:?}", started.elapsed());
}
