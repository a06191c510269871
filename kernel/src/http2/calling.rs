//! The client's end: calls over connections that we dialled.

use std::rc::Rc;
use std::time::Duration;

use bytes::Bytes;
use h2::client::SendRequest;
use h2::{Reason, SendStream};
use http::{HeaderValue, Request, Response};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout};

use super::events::{CallId, ConnectionId, Event};
use super::framing::{Code, Encoding};
use super::metadata;
use super::network::{Call, CallOrder, Connection, Network};
use super::serving::{
    CONNECTION_WINDOW_BYTES, HEADER_BYTES_MAX, SEND_BUFFER_BYTES, STREAM_WINDOW_BYTES,
};
use super::streams::{send, take_next, Broken, Next, Reading};

/// The original's server ends connections that ping more often than every 5 minutes.
const PING_EVERY: Duration = Duration::from_secs(320);
/// Long, since it comes behind what is under way over a thin link; TCP notices a peer that is gone much sooner.
const PONG_WITHIN: Duration = Duration::from_secs(300);
/// A connection that broke ends within this time.
const END_WITHIN: Duration = Duration::from_secs(1);

/// Holds a connection until it ends; calls can be made once the other end has shown HTTP/2.
pub async fn hold<IO: AsyncRead + AsyncWrite + Unpin>(
    network: &Rc<Network>,
    id: ConnectionId,
    connection: &Rc<Connection>,
    begin_within: Duration,
    io: IO,
) -> Result<(), String> {
    let handshake = h2::client::Builder::new()
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .enable_push(false)
        .handshake::<_, Bytes>(io);
    let (requests, mut http2) = timeout(begin_within, handshake)
        .await
        .map_err(|_| "HTTP/2 did not begin in time")?
        .map_err(|error| format!("HTTP/2 did not begin: {error}"))?;
    let mut pings = http2.ping_pong().ok_or("HTTP/2 gives no pings")?;
    let watched = async {
        // The answer to the first shows that the other end speaks HTTP/2.
        let mut within = begin_within;
        loop {
            match timeout(within, pings.ping(h2::Ping::opaque())).await {
                Err(_) => return "no answer to a ping".to_owned(),
                Ok(Err(error)) => return error.to_string(),
                Ok(Ok(_)) => {}
            }
            if connection.requests.borrow().is_none() {
                *connection.requests.borrow_mut() = Some(requests.clone());
                network.emit(Event::Begun { connection: id });
            }
            within = PONG_WITHIN;
            sleep(PING_EVERY).await;
        }
    };
    tokio::select! {
        ended = &mut http2 => ended.map_err(|error| error.to_string()),
        reason = watched => Err(reason),
    }
}

/// Makes a call; its end is always told.
pub async fn call(network: Rc<Network>, order: CallOrder, message_bytes_max: usize) {
    let id = order.call;
    let Some(call) = network.call(id) else { return };
    // HTTP/2 opens streams before it sends what older ones have; what was ordered before shall go first.
    tokio::task::yield_now().await;
    let made = make(&network, &call, &order, message_bytes_max);
    let ended = match order.timeout {
        None => made.await,
        Some(limit) => match timeout(limit, made).await {
            Ok(ended) => ended,
            Err(_) => Ok((Code::DeadlineExceeded as u8, "Deadline Exceeded".into())),
        },
    };
    let (code, text) = match ended {
        Ok(status) => status,
        Err(Broken::Refused(refusal)) => (refusal.code as u8, refusal.text),
        Err(Broken::Reset(error)) => {
            if !error.is_reset() {
                // The whole connection broke: its end is told first.
                if let Some(connection) = network.connection(order.connection) {
                    let _ = timeout(END_WITHIN, connection.is_gone.notified()).await;
                }
            }
            broken(&error)
        }
    };
    network.calls.borrow_mut().remove(&id);
    network.emit(Event::Ended {
        call: id,
        code,
        text,
    });
}

async fn make(
    network: &Rc<Network>,
    call: &Rc<Call>,
    order: &CallOrder,
    message_bytes_max: usize,
) -> Result<(u8, String), Broken> {
    let lost = || Ok((Code::Unavailable as u8, "the connection was lost".into()));
    let Some(connection) = network.connection(order.connection) else {
        return lost();
    };
    let requests = connection.requests.borrow().clone();
    let Some(requests) = requests else {
        return lost();
    };
    let mut ready: SendRequest<Bytes> = requests.ready().await?;
    let (response, mut stream) = ready.send_request(head(order), false)?;
    let receiving = receive(
        network,
        &connection,
        call,
        order.call,
        response,
        message_bytes_max,
    );
    tokio::select! {
        ended = receiving => ended,
        broken = write(network, &connection, call, order.call, &mut stream) => Err(broken.into()),
    }
}

fn head(order: &CallOrder) -> Request<()> {
    let mut request = Request::new(());
    *request.method_mut() = http::Method::POST;
    let uri = http::Uri::builder()
        .scheme("http")
        .authority(order.authority.as_str())
        .path_and_query(order.path.as_str())
        .build();
    // Names are checked where the call is ordered.
    *request.uri_mut() = uri.unwrap_or_default();
    let headers = request.headers_mut();
    metadata::add(headers, &order.metadata);
    headers.insert(http::header::CONTENT_TYPE, metadata::CONTENT);
    headers.insert(http::header::TE, HeaderValue::from_static("trailers"));
    headers.insert(metadata::ENCODING, HeaderValue::from_static("gzip"));
    headers.insert(metadata::ACCEPTED, metadata::ENCODINGS);
    if let Some(limit) = order.timeout {
        if let Ok(value) = HeaderValue::from_str(&metadata::timeout_text(limit)) {
            headers.insert(metadata::TIMEOUT, value);
        }
    }
    request
}

/// Sends what the interpreter orders, for as long as the call goes on; returns why it does not.
async fn write(
    network: &Network,
    connection: &Connection,
    call: &Call,
    id: CallId,
    stream: &mut SendStream<Bytes>,
) -> h2::Error {
    loop {
        let Some(next) = take_next(&call.outgoing, Encoding::Gzip) else {
            call.is_outgoing.notified().await;
            continue;
        };
        let sent = match next {
            Next::Messages(count, content) => {
                let sent = send(connection, stream, content).await;
                network.emit(Event::Written { call: id, count });
                sent
            }
            Next::HalfClose => stream.send_data(Bytes::new(), true),
            Next::Headers(_) | Next::Finish { .. } | Next::Cancel => {
                stream.send_reset(Reason::CANCEL);
                Err(Reason::CANCEL.into())
            }
        };
        if let Err(error) = sent {
            return error;
        }
    }
}

async fn receive(
    network: &Rc<Network>,
    connection: &Rc<Connection>,
    call: &Call,
    id: CallId,
    response: h2::client::ResponseFuture,
    message_bytes_max: usize,
) -> Result<(u8, String), Broken> {
    let (head, body) = Response::into_parts(response.await?);
    if let Some(status) = metadata::status(&head.headers) {
        return Ok(status);
    }
    if head.status != http::StatusCode::OK || !metadata::is_grpc(&head.headers) {
        return Ok((
            Code::Unknown as u8,
            format!("the answer is not gRPC: HTTP status {}", head.status),
        ));
    }
    network.emit(Event::Headers {
        call: id,
        metadata: metadata::custom(&head.headers),
    });
    let encoding = Encoding::named(
        head.headers
            .get(metadata::ENCODING)
            .map(|value| value.as_bytes()),
    )?;
    let mut reading = Reading::new(network, connection, body, encoding, message_bytes_max);
    reading.forward(network, call, id).await?;
    let trailers = reading.trailers().await?;
    Ok(trailers.as_ref().and_then(metadata::status).unwrap_or((
        Code::Unknown as u8,
        "the answer ends without a status".into(),
    )))
}

/// Says how a stream broke in gRPC's terms.
fn broken(error: &h2::Error) -> (u8, String) {
    let code = match error.reason() {
        Some(Reason::CANCEL) => Code::Cancelled,
        Some(Reason::ENHANCE_YOUR_CALM) => Code::ResourceExhausted,
        Some(Reason::INTERNAL_ERROR | Reason::PROTOCOL_ERROR) => Code::Internal,
        _ => Code::Unavailable,
    };
    (code as u8, error.to_string())
}
