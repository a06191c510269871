//! The server's end: connections that speak HTTP/2, and their calls.
//!
//! The limits that HTTP/2 itself needs (headers, resets, frames) are those of `h2`, set here. Each call is a task of
//! its own: one that breaks a rule, or that breaks, costs nobody else anything.

use std::future::poll_fn;
use std::rc::Rc;

use bytes::Bytes;
use h2::server::SendResponse;
use h2::{Reason, RecvStream, SendStream};
use http::{HeaderMap, Method as HttpMethod, Request, Response, StatusCode};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::time::{sleep, timeout, Duration, Instant};

use super::events::{CallId, ConnectionId, Event};
use super::framing::{Code, Encoding, Refusal};
use super::metadata;
use super::network::{Call, Connection, Counted, Network, Outgoing, Service};
use super::streams::{send, take_next, Broken, Next, Reading};

pub const STREAM_WINDOW_BYTES: u32 = 1 << 20;
/// Several streams that are not read just now must not hold up the others of their connection.
pub const CONNECTION_WINDOW_BYTES: u32 = 8 << 20;
pub const HEADER_BYTES_MAX: u32 = 16 << 10;
pub const SEND_BUFFER_BYTES: usize = 128 << 10;
/// Streams that a peer reset and that are remembered a moment; one more ends its connection.
const RESETS_MAX: usize = 64;
/// What a call costs before its request is here, beside the bytes of headers and request.
const CALL_BYTES: usize = 4 << 10;
/// What a header costs beside its name and value.
const HEADER_BYTES: usize = 64;
/// A complete answer that the caller does not take for that long is thrown away.
const ANSWER_WITHIN: Duration = Duration::from_secs(300);
/// A connection that was told to end for its idleness has so long.
const LEAVE_WITHIN: Duration = Duration::from_secs(10);

/// Serves a connection until it ends.
pub async fn serve<IO: AsyncRead + AsyncWrite + Unpin>(
    network: &Rc<Network>,
    id: ConnectionId,
    connection: &Rc<Connection>,
    service: &Rc<Service>,
    io: IO,
) -> Result<(), String> {
    let mut builder = h2::server::Builder::new();
    builder
        .initial_window_size(STREAM_WINDOW_BYTES)
        .initial_connection_window_size(CONNECTION_WINDOW_BYTES)
        .max_concurrent_streams(service.streams_max)
        .max_header_list_size(HEADER_BYTES_MAX)
        .max_send_buffer_size(SEND_BUFFER_BYTES)
        .max_pending_accept_reset_streams(RESETS_MAX);
    let begun = timeout(service.begin_within, builder.handshake::<_, Bytes>(io)).await;
    let mut http2 = match begun {
        Ok(Ok(http2)) => http2,
        Ok(Err(error)) => return Err(format!("HTTP/2 did not begin: {error}")),
        Err(_) => return Err("HTTP/2 did not begin in time".into()),
    };
    network.emit(Event::Begun { connection: id });
    let look = sleep(service.idle);
    tokio::pin!(look);
    let mut is_told = false;
    loop {
        let accepted = tokio::select! {
            // HTTP/2 reads on for each call that is taken from it: unless it is held back until all are taken and have
            // had their turn, it keeps the headers of thousands that may have to be refused.
            accepted = poll_fn(|context| {
                let accepted = http2.poll_accept(context);
                if accepted.is_pending() && connection.begin_turn() {
                    context.waker().wake_by_ref();
                }
                accepted
            }) => accepted,
            () = connection.is_leaving.notified() => {
                http2.graceful_shutdown();
                continue;
            }
            () = &mut look => {
                let left = match connection.quiet_for() {
                    None => service.idle,
                    Some(quiet) => service.idle.saturating_sub(quiet),
                };
                if !left.is_zero() {
                    look.as_mut().reset(Instant::now() + left);
                } else if is_told {
                    return Err("it was idle".into());
                } else {
                    // Calls that are on their way are still served.
                    http2.graceful_shutdown();
                    is_told = true;
                    look.as_mut().reset(Instant::now() + LEAVE_WITHIN.min(service.idle));
                }
                continue;
            }
        };
        match accepted {
            Some(Ok((request, respond))) => {
                let served = serve_call(
                    network.clone(),
                    id,
                    connection.clone(),
                    service.clone(),
                    request,
                    respond,
                );
                tokio::task::spawn_local(served);
            }
            Some(Err(error)) => return Err(error.to_string()),
            None => return Ok(()),
        }
    }
}

/// Tells the interpreter that a call is over, unless its answer was complete.
struct Serving {
    network: Rc<Network>,
    id: CallId,
    is_known: bool,
    is_done: bool,
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.network.calls.borrow_mut().remove(&self.id);
        if self.is_known && !self.is_done {
            self.network.emit(Event::Gone { call: self.id });
        }
    }
}

async fn serve_call(
    network: Rc<Network>,
    connection_id: ConnectionId,
    connection: Rc<Connection>,
    service: Rc<Service>,
    request: Request<RecvStream>,
    mut respond: SendResponse<Bytes>,
) {
    let (head, body) = request.into_parts();
    if head.method != HttpMethod::POST || !metadata::is_grpc(&head.headers) {
        let mut response = Response::new(());
        *response.status_mut() = StatusCode::UNSUPPORTED_MEDIA_TYPE;
        // A peer that has gone does not need the answer.
        let _ = respond.send_response(response, true);
        return;
    }
    let mut serving = Serving {
        id: network.next_id(),
        network: network.clone(),
        is_known: false,
        is_done: false,
    };
    let mut answering = Answering {
        encoding: metadata::accepted(&head.headers, service.is_compressing),
        respond,
        stream: None,
    };
    let ended = {
        let limit = metadata::timeout(&head.headers);
        let served = serve_known(
            &mut serving,
            &mut answering,
            connection_id,
            &connection,
            &service,
            head,
            body,
        );
        match limit {
            Err(refusal) => Err(Broken::Refused(refusal)),
            Ok(None) => served.await,
            Ok(Some(limit)) => timeout(limit, served).await.unwrap_or_else(|_| {
                Err(Refusal::new(Code::DeadlineExceeded, "Deadline Exceeded").into())
            }),
        }
    };
    match ended {
        Ok(()) => serving.is_done = true,
        Err(Broken::Refused(refusal)) => {
            if refusal.code == Code::ResourceExhausted {
                // One that goes on and on is sent away: each refusal costs memory that is not soon given back.
                connection.note_reset(network.now_s());
            }
            answering.finish(refusal.code as u8, &refusal.text);
        }
        Err(Broken::Reset(_)) => {
            connection.note_reset(network.now_s());
            answering.reset(Reason::CANCEL);
        }
    }
}

async fn serve_known(
    serving: &mut Serving,
    answering: &mut Answering,
    connection_id: ConnectionId,
    connection: &Rc<Connection>,
    service: &Service,
    head: http::request::Parts,
    body: RecvStream,
) -> Result<(), Broken> {
    let network = serving.network.clone();
    let _counted = Counted::new(&network, connection)?;
    let Some(method) = service.methods.get(head.uri.path()) else {
        return Err(Refusal::new(Code::Unimplemented, "Method not found!").into());
    };
    let encoding = Encoding::named(
        head.headers
            .get(metadata::ENCODING)
            .map(|value| value.as_bytes()),
    )?;
    let id = serving.id;
    if method.is_announced {
        serving.is_known = true;
        network.emit(Event::Arriving {
            connection: connection_id,
            call: id,
            method: method.number,
        });
    }
    let mut reading = Reading::new(
        &network,
        connection,
        body,
        encoding,
        service.message_bytes_max,
    );
    let headers = head.headers.iter();
    let header_bytes: usize = headers
        .map(|(name, value)| name.as_str().len() + value.len() + HEADER_BYTES)
        .sum();
    let begun_bytes = CALL_BYTES + header_bytes;
    reading.keep(begun_bytes)?;
    let message = if method.is_streaming {
        None
    } else {
        reading.is_expected = true;
        Some(single(&mut reading, begun_bytes).await?)
    };
    network.wait_inbox().await;
    let call = Rc::new(Call::default());
    network.calls.borrow_mut().insert(id, call.clone());
    serving.is_known = true;
    network.emit(Event::Called {
        connection: connection_id,
        call: id,
        method: method.number,
        metadata: metadata::few(metadata::custom(&head.headers)),
        message,
    });
    // Calls last; what nobody looks at any more is let go.
    drop(head);
    if !method.is_streaming {
        drop(reading);
        return answering.answer(&network, connection, &call, id).await;
    }
    let forwarded = async {
        reading.forward(&network, &call, id).await?;
        network.emit(Event::Finished { call: id });
        std::future::pending::<()>().await;
        Ok(())
    };
    tokio::select! {
        answered = answering.answer(&network, connection, &call, id) => answered,
        broken = forwarded => broken,
    }
}

/// Reads a request that has exactly one message.
async fn single(reading: &mut Reading, begun_bytes: usize) -> Result<Bytes, Broken> {
    let Some(message) = reading.next().await? else {
        return Err(Refusal::new(Code::Internal, "the request has no message").into());
    };
    // It is held until the end of the request is here, which may not come.
    reading.keep(begun_bytes + message.len())?;
    match reading.next().await? {
        None => Ok(message),
        Some(_) => Err(Refusal::new(Code::Internal, "the request has two messages").into()),
    }
}

/// The answer to one call.
struct Answering {
    respond: SendResponse<Bytes>,
    stream: Option<SendStream<Bytes>>,
    encoding: Encoding,
}

impl Answering {
    /// Sends what the interpreter orders, until it is complete or the caller goes away.
    async fn answer(
        &mut self,
        network: &Network,
        connection: &Connection,
        call: &Call,
        id: CallId,
    ) -> Result<(), Broken> {
        loop {
            let Some(next) = take_next(&call.outgoing, self.encoding) else {
                tokio::select! {
                    () = call.is_outgoing.notified() => continue,
                    broken = self.reset_by_peer() => return Err(broken.into()),
                }
            };
            match next {
                Next::Headers(custom) => {
                    let mut headers = HeaderMap::new();
                    metadata::add(&mut headers, &custom);
                    self.begin(headers)?;
                }
                Next::Messages(count, content) => {
                    self.begin(HeaderMap::new())?;
                    let is_last =
                        matches!(call.outgoing.borrow().back(), Some(Outgoing::Finish { .. }));
                    if let Some(stream) = &mut self.stream {
                        let sent = send(connection, stream, content);
                        if is_last {
                            let late = |_| Broken::Reset(Reason::CANCEL.into());
                            timeout(ANSWER_WITHIN, sent).await.map_err(late)??;
                        } else {
                            sent.await?;
                        }
                    }
                    if !is_last {
                        // Whoever has said that it is the last does not wait for it.
                        network.emit(Event::Written { call: id, count });
                    }
                }
                Next::Finish { code, text } => {
                    self.finish(code, &text);
                    return Ok(());
                }
                Next::HalfClose | Next::Cancel => {
                    return Err(Broken::Reset(Reason::CANCEL.into()));
                }
            }
        }
    }

    /// Sends the headers, unless they are sent.
    fn begin(&mut self, headers: HeaderMap) -> Result<(), h2::Error> {
        if self.stream.is_none() {
            self.stream = Some(self.respond.send_response(self.response(headers), false)?);
        }
        Ok(())
    }

    /// Ends the answer; a caller that has gone does not need it.
    fn finish(&mut self, code: u8, text: &str) {
        let trailers = metadata::trailers(code, text);
        let _ = match &mut self.stream {
            Some(stream) => stream.send_trailers(trailers),
            None => self
                .respond
                .send_response(self.response(trailers), true)
                .map(|_| ()),
        };
    }

    fn reset(&mut self, reason: Reason) {
        match &mut self.stream {
            Some(stream) => stream.send_reset(reason),
            None => self.respond.send_reset(reason),
        }
    }

    fn response(&self, mut headers: HeaderMap) -> Response<()> {
        headers.insert(http::header::CONTENT_TYPE, metadata::CONTENT);
        headers.insert(metadata::ACCEPTED, metadata::ENCODINGS);
        if self.encoding == Encoding::Gzip {
            headers.insert(metadata::ENCODING, http::HeaderValue::from_static("gzip"));
        }
        let mut response = Response::new(());
        *response.headers_mut() = headers;
        response
    }

    async fn reset_by_peer(&mut self) -> h2::Error {
        let reset = match &mut self.stream {
            Some(stream) => poll_fn(|context| stream.poll_reset(context)).await,
            None => poll_fn(|context| self.respond.poll_reset(context)).await,
        };
        reset.map_or_else(|error| error, Into::into)
    }
}
