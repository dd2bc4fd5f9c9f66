//! Answers of applications that two readers could understand differently.

use crate::support::client::BOTH;
use crate::support::upstream::Act;
use crate::support::world::World;

#[tokio::test]
async fn an_answer_whose_length_is_not_a_plain_number_is_not_passed_on() {
    let world = World::start().await;
    for length in ["5, 5", "05", "+5"] {
        let answer = format!("HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\nhello");
        world.upstream.script(move |_| Act::Reply(answer.clone().into_bytes()));
        for proto in BOTH {
            assert_eq!(world.get("/public/x").proto(proto).send().await.status, 502, "{length} {proto:?}");
        }
    }
}

#[tokio::test]
async fn an_answer_without_content_has_no_length_either() {
    let world = World::start().await;
    world.upstream.script(|_| Act::Reply(b"HTTP/1.1 204 No Content\r\nContent-Length: 44\r\n\r\n".to_vec()));
    for proto in BOTH {
        let answer = world.get("/public/x").proto(proto).send().await;
        assert_eq!((answer.status.as_u16(), answer.header("content-length"), answer.text().as_str()), (204, "", ""), "{proto:?}");
    }
}
