use http_body_util::{BodyExt, Full};
use hyper::rt::Executor;

use super::super::control::Control;
use super::*;

fn tracked(bytes: &'static [u8], progress: Option<Arc<Progress>>) -> Tracked<Full<Bytes>> {
    let control = Arc::new(Control::default());
    Tracked::new(Some(Full::new(Bytes::from_static(bytes))), control.begin(), progress)
}

static LONG: [u8; 40_000] = [7; 40_000];

#[tokio::test]
async fn a_body_for_http2_comes_in_pieces_and_loses_nothing() {
    let mut body = tracked(&LONG, Some(Arc::default()));
    assert_eq!(body.size_hint().exact(), Some(40_000));
    let mut lengths = Vec::new();
    while let Some(frame) = body.frame().await {
        lengths.push(frame.unwrap().into_data().unwrap().len());
        let sent: usize = lengths.iter().sum();
        assert_eq!(body.size_hint().exact(), Some(40_000 - sent as u64));
        assert_eq!(body.is_end_stream(), sent == 40_000);
    }
    assert_eq!(lengths, [16_384, 16_384, 7_232]);
}

#[tokio::test]
async fn a_body_for_http1_is_left_as_it_is() {
    let whole = tracked(&LONG, None).frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(whole.len(), 40_000);
}

/// Takes one piece of a body and never asks for more, as a stream without a window does.
async fn stall(mut body: Tracked<Full<Bytes>>) {
    let _ = body.frame().await;
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn a_stream_whose_client_takes_nothing_is_ended_after_the_period() {
    let streams = Streams::new(Telemetry::without_output(), Duration::from_secs(30));
    let (alive, ended) = tokio::sync::oneshot::channel::<()>();
    let body = tracked(&LONG, Some(streams.begin()));
    let before = Instant::now();
    streams.execute(async move {
        let _alive = alive;
        stall(body).await;
    });
    assert!(ended.await.is_err());
    assert_eq!(before.elapsed().as_secs(), 30);
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_waits_for_its_upstream_is_left_alone() {
    let streams = Streams::new(Telemetry::without_output(), Duration::from_secs(30));
    let progress = streams.begin();
    let (send, receive) = tokio::sync::oneshot::channel::<&str>();
    streams.execute(async move {
        progress.handed();
        progress.asked();
        tokio::time::sleep(Duration::from_secs(3600)).await;
        let _ = send.send("done");
    });
    assert_eq!(receive.await, Ok("done"));
}

#[tokio::test(start_paused = true)]
async fn a_slow_stream_that_moves_is_left_alone() {
    let streams = Streams::new(Telemetry::without_output(), Duration::from_secs(30));
    let mut body = tracked(&LONG, Some(streams.begin()));
    let (send, receive) = tokio::sync::oneshot::channel::<&str>();
    streams.execute(async move {
        while body.frame().await.is_some() {
            tokio::time::sleep(Duration::from_secs(29)).await;
        }
        let _ = send.send("done");
    });
    assert_eq!(receive.await, Ok("done"));
}

#[tokio::test]
async fn a_panic_in_a_stream_is_counted() {
    let telemetry = Telemetry::without_output();
    let streams = Streams::new(telemetry.clone(), Duration::ZERO);
    let (alive, ended) = tokio::sync::oneshot::channel::<()>();
    streams.execute(async move {
        let _alive = alive;
        panic!("on purpose");
    });
    assert!(ended.await.is_err());
    while !telemetry.render().contains("doorward_panics_total 1") {
        tokio::task::yield_now().await;
    }
}
