//! A new configuration takes effect as a whole, or not at all.

use crate::support::fost::Fost;
use crate::support::setup::Setup;
use crate::support::within;
use crate::support::world::{PASSWORD, World};

/// Changes the file and tells the gateway.
fn reload(world: &World, text: &str) {
    world.setup.write("config.toml", text);
    world.signal("HUP");
}

#[tokio::test]
async fn a_good_configuration_takes_effect_and_open_connections_follow() {
    let world = World::start().await;
    let call = world.get("/new/x");
    let mut sender = call.connect().await;
    assert_eq!(call.send_on(&mut sender).await.unwrap().status, 404);
    let text = world.setup.config_text();
    reload(&world, &format!("{text}\n[[route]]\npath = \"/new/**\"\naccess = \"public\"\n"));
    within("the new route", async {
        while call.send_on(&mut sender).await.unwrap().status != 200 {
            crate::support::breathe().await
        }
    })
    .await;
    // And a stricter one bites at once, also for what is remembered.
    assert_eq!(world.get("/basic/x").basic("bob", PASSWORD).send().await.status, 200);
    reload(
        &world,
        &text.replace(
            "path = \"/basic/**\"\naccept = [\"staff\"]",
            "path = \"/basic/**\"\naccept = [\"staff\"]\n[route.require]\nusers = [\"alice\"]",
        ),
    );
    within("the rule", async {
        while world.get("/basic/x").basic("bob", PASSWORD).send().await.status != 403 {
            crate::support::breathe().await
        }
    })
    .await;
    assert_eq!(call.send().await.status, 404);
}

#[tokio::test]
async fn a_broken_configuration_changes_nothing_and_is_said_so() {
    let world = World::start().await;
    let text = world.setup.config_text();
    for (at, broken) in [
        format!("{text}\n[nonsense]\n"),
        format!("{text}\n[[route]]\npath = \"/basic2/**\"\naccept = [\"nobody\"]\n"),
        text.replace("audience = [\"orders\"]", "audience = []"),
        text.replace("secrets/aspnet.key", "secrets/gone.key"),
        "[".to_owned(),
        String::new(),
    ]
    .into_iter()
    .enumerate()
    {
        let before = world.stderr.borrow().len();
        reload(&world, &broken);
        let mut lines = world.stderr.subscribe();
        within("a word about it", lines.wait_for(|lines| lines[before..].iter().any(|line| line.contains("\"ERROR\"")))).await.unwrap();
        assert_eq!(world.get("/public/x").send().await.status, 200, "{at}");
        assert_eq!(world.get("/basic/x").send().await.status, 401, "{at}");
        assert_eq!(world.get("/basic/x").basic("bob", PASSWORD).send().await.status, 200, "{at}");
        assert_eq!(world.good_call("fost").send().await.status, 200, "{at}");
    }
}

#[tokio::test]
async fn what_was_used_once_stays_used_after_a_reload() {
    let world = World::start().await;
    let headers = Fost::new().sign("POST", "/fost/x", b"");
    let call = world.call("POST", "/fost/x").headers(&headers);
    assert_eq!(call.clone().send().await.status, 200);
    let text = world.setup.config_text();
    reload(&world, &format!("{text}\n[[route]]\npath = \"/new/**\"\naccess = \"public\"\n"));
    within("the new route", async {
        while world.get("/new/x").send().await.status != 200 {
            crate::support::breathe().await
        }
    })
    .await;
    assert_eq!(call.send().await.status, 401);
}

#[tokio::test]
async fn reloading_under_load_refuses_nobody() {
    let upstream = crate::support::upstream::Upstream::echo();
    let gate = Setup::new(&upstream.url()).public("/**").start().await;
    let text = gate.setup.config_text();
    for round in 0..5 {
        gate.setup.write("config.toml", &format!("{text}\n[[route]]\npath = \"/extra{round}\"\naccess = \"public\"\n"));
        gate.signal("HUP");
        let calls = (0..40).map(|at| gate.get("/x").proto(crate::support::client::BOTH[at % 2]).send());
        let answers = futures_util::future::join_all(calls).await;
        assert!(answers.iter().all(|answer| answer.status == 200));
    }
}
