//! One message a line.

use serde::{Serialize, de::DeserializeOwned};

use crate::MAX_LINE;

/// Why a line is no message.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// Longer than [`MAX_LINE`].
    #[error("a message of {0} bytes, more than the {MAX_LINE} that a line may have")]
    TooLong(usize),
    /// Not the JSON that the protocol knows.
    #[error("not a message of this protocol")]
    Json(#[from] serde_json::Error),
}

/// A message as one line, newline included.
///
/// # Errors
/// [`LineError::TooLong`] past [`MAX_LINE`] bytes.
pub fn encode<T: Serialize>(message: &T) -> Result<Vec<u8>, LineError> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    if line.len() > MAX_LINE {
        Err(LineError::TooLong(line.len()))
    } else {
        Ok(line)
    }
}

/// The message in a line, with or without its newline.
///
/// # Errors
/// [`LineError::TooLong`] past [`MAX_LINE`] bytes, [`LineError::Json`] for anything else.
pub fn decode<T: DeserializeOwned>(line: &[u8]) -> Result<T, LineError> {
    if line.len() > MAX_LINE {
        return Err(LineError::TooLong(line.len()));
    }
    Ok(serde_json::from_slice(line)?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Counters, GuestMessage, HostMessage, Plan};

    #[test]
    fn messages_survive_the_way() {
        let beat = GuestMessage::Heartbeat {
            phase: "fio".into(),
            counters: Counters::from([("ios".into(), 7)]),
        };
        let line = encode(&beat).unwrap();
        assert_eq!(line.iter().filter(|&&b| b == b'\n').count(), 1);
        assert_eq!(decode::<GuestMessage>(&line).unwrap(), beat);
        let plan = HostMessage::Plan(Plan {
            seed: u64::MAX,
            phases: vec![],
        });
        assert_eq!(
            decode::<HostMessage>(&encode(&plan).unwrap()).unwrap(),
            plan
        );
    }

    #[test]
    fn long_and_foreign_lines_are_refused() {
        let fatal = GuestMessage::Fatal {
            message: "x".repeat(MAX_LINE),
        };
        assert!(matches!(encode(&fatal), Err(LineError::TooLong(_))));
        assert!(matches!(
            decode::<GuestMessage>(&vec![b' '; MAX_LINE + 1]),
            Err(LineError::TooLong(_))
        ));
        assert!(matches!(
            decode::<GuestMessage>(b"{\"type\":\"greeting\"}"),
            Err(LineError::Json(_))
        ));
    }
}
