//! One connection's protocol, without its socket: bytes in, bytes out.

/// Why a run cannot go on.
#[derive(Debug)]
pub struct Failure(pub String);

impl From<String> for Failure {
    fn from(text: String) -> Self {
        Failure(text)
    }
}

impl From<&str> for Failure {
    fn from(text: &str) -> Self {
        Failure(text.to_owned())
    }
}

/// What a session has read.
pub trait Sink {
    /// A message came to the subscriber of this number.
    fn delivered(&mut self, subscriber: usize, payload: &[u8]);
    /// So many publishes were answered: the broker has them.
    fn answered(&mut self, count: usize);
}

pub trait Session {
    /// Appends what a connection begins with.
    fn open(&mut self, output: &mut Vec<u8>);

    /// Takes what came, and returns how much of it is done with; the rest is given again with more behind it.
    fn receive(
        &mut self,
        input: &[u8],
        output: &mut Vec<u8>,
        sink: &mut dyn Sink,
    ) -> Result<usize, Failure>;

    /// Whether subscriptions are in effect and messages can be published.
    fn is_ready(&self) -> bool;

    /// Appends a message on one of the publisher's topics.
    fn publish(&mut self, topic: usize, payload: &[u8], output: &mut Vec<u8>);

    /// Appends what was held back in order to be written together.
    fn flush(&mut self, _output: &mut Vec<u8>) {}
}

/// What a subscribing connection asks for.
#[derive(Clone, Debug)]
pub struct Subscription {
    /// Whose ledger takes the messages.
    pub subscriber: usize,
    /// Levels separated by `/`; the last may be `*`, for any number of levels.
    pub filter: String,
    /// Unlike that of every other subscription of the run.
    pub name: String,
}
