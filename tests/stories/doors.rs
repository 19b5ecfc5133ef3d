//! Who may come in at the local door, and what is shown to whom.

use std::time::Duration;

use bytes::Bytes;
use jisr_node::{Config, Node};
use jisr_proto::reason::Reason;
use jisr_tests::{CONSUMER, Caller, Line, PROBE, PROVIDER, PURPOSE, Question, World, framed, refused};
use tokio_stream::StreamExt as _;

const READ: &str = "/jisr.tests.v1.Probe/Read";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn only_the_member_s_own_certificates_open_the_local_door() {
    let mut world = World::of_two().await;
    let door = world.party("mol").node.as_ref().expect("it runs").local_address();
    let own = world.party("mol").credential(CONSUMER);
    let foreign = world.party("psd").credential(PROVIDER);
    let question = framed(&Question::about("1").bytes());
    let headers = [("jisr-purpose", PURPOSE), ("jisr-duty", "law-24")];
    for line in [
        Line::anonymous(door, &own).await,
        Line::with(door, &foreign, &own).await,
        Line::plain(door).await,
    ] {
        let told = match line {
            // With TLS 1.3 a client learns of it with its first request.
            Ok(mut line) => line.post(READ, &headers, question.clone()).await.ok(),
            Err(_) => None,
        };
        assert!(told.is_none(), "{told:?}");
    }
    let mut line = Line::with(door, &own, &own).await.expect("it is the member's own");
    let told = line.post(READ, &headers, question).await.expect("an answer");
    assert_eq!(told.status().code(), tonic::Code::Ok);
    assert_eq!(world.party("psd").backend.calls(), 1);
    world.stop_node("mol").await;
    assert_eq!(world.summed("mol", "", Reason::CallerUnauthenticated), 3);
    world.end().await;
}

/// What both versions of reflection list, and whether the newer one shows the probe's descriptor.
async fn reflected(caller: &Caller) -> ([Vec<String>; 2], bool) {
    use tonic_reflection::pb::{v1, v1alpha};
    use v1::server_reflection_request::MessageRequest;
    use v1::server_reflection_response::MessageResponse;
    let mut client = v1::server_reflection_client::ServerReflectionClient::new(caller.channel());
    let wanted = [
        MessageRequest::ListServices(String::new()),
        MessageRequest::FileContainingSymbol(PROBE.to_owned()),
    ];
    let wanted = wanted.map(|wanted| v1::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(wanted),
    });
    let answers = client
        .server_reflection_info(tokio_stream::iter(wanted))
        .await
        .expect("it is served")
        .into_inner();
    let answers: Vec<_> = answers
        .map_while(Result::ok)
        .filter_map(|answer| answer.message_response)
        .collect()
        .await;
    let Some(MessageResponse::ListServicesResponse(new)) = answers.first() else {
        panic!("{answers:?}")
    };
    let shown = matches!(answers.get(1), Some(MessageResponse::FileDescriptorResponse(_)));
    let mut client = v1alpha::server_reflection_client::ServerReflectionClient::new(caller.channel());
    let request = v1alpha::ServerReflectionRequest {
        host: String::new(),
        message_request: Some(v1alpha::server_reflection_request::MessageRequest::ListServices(
            String::new(),
        )),
    };
    let answers = client
        .server_reflection_info(tokio_stream::once(request))
        .await
        .expect("it is served")
        .into_inner();
    let answers: Vec<_> = answers
        .map_while(Result::ok)
        .filter_map(|answer| answer.message_response)
        .collect()
        .await;
    let [v1alpha::server_reflection_response::MessageResponse::ListServicesResponse(old)] = answers.as_slice() else {
        panic!("{answers:?}");
    };
    let new = new.service.iter().map(|service| service.name.clone()).collect();
    (
        [new, old.service.iter().map(|service| service.name.clone()).collect()],
        shown,
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn reflection_shows_exactly_what_is_agreed() {
    let world = World::of_two().await;
    let probe = vec![PROBE.to_owned()];
    assert_eq!(reflected(&world.caller()).await, ([probe.clone(), probe], true));
    let stranger = world.caller_of("mol", "JO/GOV/mol/canteen");
    assert_eq!(reflected(&stranger).await, ([vec![], vec![]], false));
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_grpc_is_answered_as_http() {
    let world = World::of_two().await;
    let caller = world.caller();
    for (method, kind, expected) in [
        (
            http::Method::GET,
            "application/grpc",
            http::StatusCode::METHOD_NOT_ALLOWED,
        ),
        (
            http::Method::POST,
            "application/json",
            http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
        (
            http::Method::POST,
            "application/grpc-web",
            http::StatusCode::UNSUPPORTED_MEDIA_TYPE,
        ),
    ] {
        let request = http::Request::builder()
            .method(method)
            .uri(READ)
            .header("content-type", kind);
        let request = request.body(tonic::body::Body::empty()).expect("a request");
        let response = tower::ServiceExt::oneshot(caller.channel(), request)
            .await
            .expect("an answer");
        assert_eq!(response.status(), expected);
    }
    for path in [
        "/",
        "/Read",
        "/jisr.tests.v1.Probe/",
        "/jisr.tests.v1.Probe/Read/more",
        "//Read",
    ] {
        let told = caller.call(path, Bytes::new(), Duration::from_secs(5)).await;
        refused(told, Reason::UnknownMethod);
    }
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn plain_callers_come_in_only_where_the_operator_says_dangerous_and_on_loopback() {
    let mut world = World::of_two().await;
    world.stop_node("mol").await;
    let certified = "names = [\"127.0.0.1\"]";
    let plain = format!("dangerous_plain_loopback = [\"{CONSUMER}\", \"JO/GOV/mol/canteen\"]");
    world.reconfigure("mol", certified, &plain);
    world.start_node("mol").await;
    let door = world.party("mol").node.as_ref().expect("it runs").local_address();
    let caller = Caller::new(door, None)
        .with("jisr-purpose", PURPOSE)
        .with("jisr-duty", "law-24");
    let told = refused(
        caller.ask("Read", &Question::about("1")).await,
        Reason::SubsystemAmbiguous,
    );
    assert!(told.detail.contains(CONSUMER), "{told:?}");
    let claimed = caller.clone().with("jisr-client", "JO/GOV/mol/other");
    refused(
        claimed.ask("Read", &Question::about("1")).await,
        Reason::SubsystemNotYours,
    );
    let named = caller.with("jisr-client", CONSUMER);
    named
        .ask("Read", &Question::about("1"))
        .await
        .expect("it is one of the two");
    world.reconfigure(
        "mol",
        &format!("listen = \"{door}\""),
        &format!("listen = \"0.0.0.0:{}\"", door.port()),
    );
    let error = Config::load(&world.party("mol").dir)
        .expect_err("everybody could call")
        .to_string();
    assert!(
        error.contains("local_door.dangerous_plain_loopback") && error.contains("loopback address"),
        "{error}"
    );
    world.reconfigure("mol", &plain, &format!("dangerous_plain_loopback = [\"{PROVIDER}\"]"));
    world.reconfigure("mol", "listen = \"0.0.0.0:", "listen = \"127.0.0.1:");
    let error = Config::load(&world.party("mol").dir)
        .expect_err("it is another member's")
        .to_string();
    assert!(error.contains(PROVIDER), "{error}");
    world.end().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_node_on_the_same_directory_refuses_to_start() {
    let world = World::of_two().await;
    let mut config = Config::load(&world.party("mol").dir).expect("the configuration is right");
    config.local_door.listen = "127.0.0.1:0".parse().expect("an address");
    config.peer_door.listen = "127.0.0.1:0".parse().expect("an address");
    let error = Node::start(config, world.clock.clone())
        .await
        .expect_err("the first one runs")
        .to_string();
    assert!(error.contains("another process") || error.contains("lock"), "{error}");
    world
        .caller()
        .call(READ, Question::about("1").bytes(), Duration::from_secs(5))
        .await
        .expect("unharmed");
    world.end().await;
}
