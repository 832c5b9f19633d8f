//! As much of HTTP/1.1 as the Lambda Runtime API and DynamoDB Local need, on blocking sockets: a
//! thread that waits for a socket or sleeps wakes within some fifty microseconds, where timers of an
//! event loop have a millisecond.

use std::io::{self, BufRead};

/// A request or a response, as it came.
pub struct Message {
    /// Up to the empty line, that included.
    pub head: Vec<u8>,
    pub body: Vec<u8>,
}

impl Message {
    /// The next message of a connection, or none where that has ended.
    pub fn read(connection: &mut impl BufRead) -> io::Result<Option<Self>> {
        let mut head = Vec::new();
        let mut line = 0;
        while line != 2 {
            line = connection.read_until(b'\n', &mut head)?;
            if line == 0 && head.is_empty() {
                return Ok(None);
            }
            if line == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
        }
        let length = header(&head, "content-length");
        let length = length.and_then(|length| length.parse().ok()).unwrap_or(0);
        if header(&head, "transfer-encoding").is_some() {
            return Err(io::Error::other(
                "a body in chunks, which nothing here sends",
            ));
        }
        let mut body = vec![0; length];
        connection.read_exact(&mut body)?;
        Ok(Some(Message { head, body }))
    }

    /// The path of a request.
    pub fn path(&self) -> String {
        let line = self.head.split(|byte| *byte == b'\r').next();
        let line = String::from_utf8_lossy(line.unwrap_or_default());
        line.split(' ').nth(1).unwrap_or_default().into()
    }

    /// Both parts, to be sent on.
    pub fn bytes(self) -> Vec<u8> {
        [self.head, self.body].concat()
    }
}

fn header(head: &[u8], name: &str) -> Option<String> {
    let head = String::from_utf8_lossy(head);
    head.lines().find_map(|line| {
        let (found, value) = line.split_once(':')?;
        found
            .eq_ignore_ascii_case(name)
            .then(|| value.trim().to_string())
    })
}
