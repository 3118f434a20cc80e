//! Servers that cannot be relied on: whose data are bogus, who break the letter case of names, whose names lead nowhere.

use std::time::Duration;

use super::way_down::{EXAMPLE_ZONE, GLUELESS_ZONE, HOSTING_ZONE, NET_ZONE, ORG_ZONE, asked, world};
use super::world::{Manner, Scene};
use crate::upstream::UpstreamError;
use crate::upstream::doubts::Among;
use crate::wire::{Question, RCode, RecordType, Response};

const SERVERS: [&str; 2] = ["192.0.2.11", "192.0.2.12"];

#[tokio::test(start_paused = true)]
async fn whoever_gave_a_reply_is_told_and_another_one_is_asked_in_its_place() {
    for _ in 0..20 {
        let scene = Scene::new(world());
        let first = scene.fetch_among("www.example.org.", RecordType::A, Among::All).await.unwrap();
        let told = scene.doubt(&first);
        let (doubted, zone) = told.split_once(' ').unwrap();
        assert_eq!(zone, "example.org.");
        let other = if doubted == SERVERS[0] { "12" } else { "11" };
        scene.world.asked();
        let second = scene.fetch_among("www.example.org.", RecordType::A, Among::Undoubted).await.unwrap();
        assert_eq!(scene.world.asked(), [format!("{other} www.example.org. A")], "{doubted} is doubted");
        // So is who is asked about other names of the zone from now on.
        scene.told("example.org.", RecordType::TXT).await;
        assert_eq!(scene.world.asked(), [format!("{other} example.org. TXT")]);
        // Where all are doubted, they may have other addresses; once it is known that they do not, there is nobody else to ask.
        scene.doubt(&second);
        for looked_up in [["ns1.example.org. AAAA", "ns2.example.org. AAAA"].as_slice(), &[]] {
            let error = scene.fetch_among("www.example.org.", RecordType::A, Among::Undoubted).await.unwrap_err();
            assert!(matches!(error, UpstreamError::NoServer), "{error}");
            let mut seen = asked(&scene);
            seen.retain(|line| line != "2 example.org. A");
            seen.sort();
            assert_eq!(seen, looked_up.iter().map(|name| format!("11 {name}")).collect::<Vec<_>>());
        }
        // The delegation is as good as ever.
        assert_eq!(scene.told("www.example.org.", RecordType::A).await, "NOERROR 198.51.100.2");
        assert_eq!(asked(&scene), ["11 www.example.org. A"]);
    }
}

#[tokio::test(start_paused = true)]
async fn a_doubt_ends_after_five_minutes_and_is_about_one_zone() {
    let below = format!("{EXAMPLE_ZONE}sub.example.org. 3600 NS ns1.example.org.\n");
    let sub = "sub.example.org. 3600 SOA\nwww.sub.example.org. 60 A 198.51.100.9\n";
    let zones = [("example.org.", &*below), ("sub.example.org.", sub)];
    let scene = Scene::new(world().host(SERVERS[0], Manner::Good, &zones).host(SERVERS[1], Manner::Silent, &zones));
    for _ in 0..4 {
        scene.fetch_among("www.example.org.", RecordType::A, Among::All).await.unwrap();
    }
    let first = scene.fetch_among("www.example.org.", RecordType::A, Among::All).await.unwrap();
    scene.doubt(&first);
    // A server that is silent is not waited for as long as for a first reply.
    let started = tokio::time::Instant::now();
    scene.fetch_among("www.example.org.", RecordType::A, Among::Undoubted).await.unwrap_err();
    assert!(started.elapsed() < Duration::from_secs(5), "{:?}", started.elapsed());
    assert!(scene.fetch_among("www.sub.example.org.", RecordType::A, Among::All).await.is_ok());
    scene.clock.advance_s(301);
    assert!(scene.fetch_among("www.example.org.", RecordType::A, Among::Undoubted).await.is_ok());
}

#[tokio::test(start_paused = true)]
async fn looking_for_something_better_finds_servers_by_the_other_ip_version() {
    let zone = format!("{EXAMPLE_ZONE}ns1.example.org. 3600 AAAA 2001:db8::11\n");
    let zones = [("example.org.", &*zone)];
    let both = world().host(SERVERS[0], Manner::Good, &zones).host(SERVERS[1], Manner::Good, &zones);
    let scene = Scene::new(both.host("2001:db8::11", Manner::Good, &zones));
    for address in ["192.0.2.", "192.0.2.", "2001:db8::11"] {
        let found = scene.fetch_among("www.example.org.", RecordType::A, Among::Undoubted).await.unwrap();
        assert!(scene.doubt(&found).starts_with(address), "{found:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn looking_for_something_better_finds_servers_without_addresses() {
    let org = ORG_ZONE
        .replace("ns2.example.org. 3600 A 192.0.2.12\n", "")
        .replace("NS ns2.example.org.", "NS ns2.hosting.net.");
    let hosting = format!("{HOSTING_ZONE}ns2.hosting.net. 3600 A 192.0.2.12\n");
    let scene = Scene::new(world().host("192.0.2.2", Manner::Good, &[("org.", &org)]));
    scene.world.serve("192.0.2.21", &[("hosting.net.", &hosting)]);
    let first = scene.fetch_among("www.example.org.", RecordType::A, Among::All).await.unwrap();
    assert_eq!(scene.doubt(&first), "192.0.2.11 example.org.");
    let second = scene.fetch_among("www.example.org.", RecordType::A, Among::Undoubted).await.unwrap();
    assert_eq!(scene.doubt(&second), "192.0.2.12 example.org.");
}

#[tokio::test(start_paused = true)]
async fn what_a_referral_said_of_a_ds_is_the_referrers_and_is_forgotten_once_it_is_bogus() {
    let scene = Scene::new(world());
    let first = scene.fetch_among("www.example.org.", RecordType::A, Among::All).await.unwrap();
    let question = Question::new("example.org.".parse().unwrap(), RecordType::DS);
    let response = Response { question: question.clone(), ..first.response };
    let source = first.source.unwrap();
    scene.recursor.setting.infra.learn_referred_ds(response, source.clone(), u64::MAX);
    assert_eq!(scene.recursor.referred(&question).unwrap().source, Some(source));
    scene.recursor.forget_referred(&question.qname);
    assert!(scene.recursor.referred(&question).is_none());
}

#[tokio::test(start_paused = true)]
async fn a_server_that_knows_small_letters_only_is_asked_in_them() {
    const NAME: &str = "a-long-name-with-many-letters.example.org.";
    let zone = format!("{EXAMPLE_ZONE}{NAME} 60 A 198.51.100.7\n");
    let zones = [("example.org.", &*zone)];
    let small = |at| (at, Manner::SmallLetters);
    let world = SERVERS.map(small).into_iter().fold(world(), |world, (at, manner)| world.host(at, manner, &zones));
    let scene = Scene::new(world);
    assert_eq!(scene.told(NAME, RecordType::A).await, "NOERROR 198.51.100.7");
    let of_name = || asked(&scene).into_iter().filter(|line| *line == format!("11 {NAME} A")).count();
    assert_eq!(of_name(), 3, "both in mixed letters, one in small ones");
    // In a client's capitals, too, and at once.
    for _ in 0..8 {
        assert_eq!(scene.told(&NAME.to_ascii_uppercase(), RecordType::A).await, "NOERROR 198.51.100.7");
        assert_eq!(of_name(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn one_server_is_asked_once_more_in_small_letters_where_all_refuse() {
    let refuses = Manner::Says(RCode::REFUSED);
    let zones = [("example.org.", EXAMPLE_ZONE)];
    let scene =
        Scene::with(world().host(SERVERS[0], refuses.clone(), &zones).host(SERVERS[1], refuses, &zones), |config| {
            config.iterating.minimising.0 = false;
        });
    assert!(scene.told("www.example.org.", RecordType::A).await.starts_with("error"));
    let of_servers = asked(&scene).into_iter().filter(|line| line == "11 www.example.org. A").count();
    assert_eq!(of_servers, 3, "two servers, and one of them in small letters");
}

#[tokio::test(start_paused = true)]
async fn the_addresses_of_a_zones_servers_end_with_its_delegation() {
    let scene = Scene::new(world());
    scene.world.serve("192.0.2.3", &[("net.", &NET_ZONE.replace("hosting.net. 3600 NS", "hosting.net. 40 NS"))]);
    let hosting = HOSTING_ZONE.replace("3600 A", "7200 A");
    scene.world.serve("192.0.2.21", &[("hosting.net.", &hosting), ("glueless.org.", GLUELESS_ZONE)]);
    assert_eq!(scene.told("www.glueless.org.", RecordType::A).await, "NOERROR 198.51.100.4");
    let name = "ns.hosting.net.".parse().unwrap();
    let known = |after_s: u64| {
        let infra = &scene.recursor.setting.infra;
        infra.addresses(&name, RecordType::A, scene.now_ms() + after_s * 1000).is_some()
    };
    assert!(known(39) && !known(41), "whatever TTL the zone itself gives it");
}

#[tokio::test(start_paused = true)]
async fn a_server_whose_name_does_not_exist_is_not_looked_for_twice() {
    let names: String = (1..=12).map(|number| format!("lost.org. 3600 NS ns{number}.nowhere.net.\n")).collect();
    let scene = Scene::with(world(), |config| config.iterating.minimising.0 = false);
    scene.world.serve("192.0.2.2", &[("org.", &format!("{ORG_ZONE}{names}"))]);
    let looked_up = || {
        let lines = scene.world.asked().into_iter();
        lines.filter(|line| line.starts_with("3 ns")).collect::<Vec<_>>()
    };
    assert!(scene.told("www.lost.org.", RecordType::A).await.starts_with("error"));
    let first = looked_up();
    assert!(
        !first.is_empty() && first.iter().all(|line| line.ends_with(" A")),
        "there are no others either: {first:?}"
    );
    assert!(first.len() < 12, "not all for one question");
    // What is known not to be there does not count: the rest has its turn.
    assert!(scene.told("www2.lost.org.", RecordType::A).await.starts_with("error"));
    let second = looked_up();
    assert!(!second.is_empty() && second.iter().all(|line| !first.contains(line)), "{first:?}, then {second:?}");
    scene.told("www3.lost.org.", RecordType::A).await;
    assert_eq!(looked_up(), [""; 0]);
}
