//! What is found in the bytes of an HTTP/1 connection, beside what hyper makes of them.

use std::cell::RefCell;
use std::io;
use std::pin::Pin;
use std::rc::Rc;
use std::task::{Context, Poll, ready};

use doorward::inbound::{Found, HeadFault, Heads};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use crate::serve;

/// The limit for a head.
const LONGEST: usize = 16 << 10;

/// What is known of the requests so far.
#[derive(Debug, Default)]
pub(crate) struct Verdicts {
    asked: u64,
    fault: Option<(u64, HeadFault)>,
}

impl Verdicts {
    /// The verdict on the next request.
    pub(crate) fn next(&mut self) -> Result<(), HeadFault> {
        let number = self.asked;
        self.asked += 1;
        match self.fault {
            Some((from, fault)) if number >= from => Err(fault),
            _ => Ok(()),
        }
    }
}

/// A stream whose bytes are followed, as the product does it.
pub(crate) struct Followed<T> {
    stream: T,
    heads: Heads,
    verdicts: Rc<RefCell<Verdicts>>,
    broken: bool,
}

impl<T> Followed<T> {
    pub(crate) fn new(stream: T) -> (Self, Rc<RefCell<Verdicts>>) {
        let verdicts: Rc<RefCell<Verdicts>> = Rc::default();
        (Self { stream, heads: Heads::new(LONGEST), verdicts: Rc::clone(&verdicts), broken: false }, verdicts)
    }
}

impl<T: AsyncRead + Unpin> AsyncRead for Followed<T> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buffer: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = &mut *self;
        let before = buffer.filled().len();
        if !this.broken {
            ready!(Pin::new(&mut this.stream).poll_read(cx, buffer))?;
            match this.heads.read(&buffer.filled()[before..]) {
                Found::Clear => return Poll::Ready(Ok(())),
                Found::Fault(number, fault) => {
                    this.verdicts.borrow_mut().fault = Some((number, fault));
                    return Poll::Ready(Ok(()));
                }
                Found::Broken(usable, _) => {
                    this.broken = true;
                    buffer.set_filled(before + usable);
                    if usable > 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
        Poll::Ready(Err(io::ErrorKind::InvalidData.into()))
    }
}

impl<T: AsyncWrite + Unpin> AsyncWrite for Followed<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}

/// Where each clear head ends, and what ended the following.
fn follow(raw: &[u8], piece: usize) -> (Vec<usize>, Found) {
    let (mut heads, mut ends, mut whole) = (Heads::new(LONGEST), Vec::new(), Heads::new(LONGEST));
    let mut last = Found::Clear;
    for (at, byte) in raw.iter().enumerate() {
        let before = heads.clear();
        last = heads.read(&[*byte]);
        if heads.clear() > before {
            ends.push(at + 1);
        }
        if last != Found::Clear {
            break;
        }
    }
    // However it is cut, the same is found.
    let mut found = Found::Clear;
    for piece in raw.chunks(piece) {
        if found == Found::Clear {
            found = whole.read(piece);
        }
    }
    assert_eq!(whole.clear(), heads.clear());
    match (last, found) {
        (Found::Broken(..), Found::Broken(..)) => {}
        (one, other) => assert_eq!(one, other),
    }
    (ends, last)
}

/// The first byte says how the others are cut. Accepted: at least one request is served, and nothing is objected to.
pub fn run(data: &[u8]) -> bool {
    let Some((piece, raw)) = data.split_first() else { return false };
    let (ends, found) = follow(raw, usize::from(*piece) + 1);
    let served = RefCell::new(0);
    serve::http1(raw, async |number, request, head| {
        *served.borrow_mut() += 1;
        if head.is_err() {
            assert!(matches!(found, Found::Fault(at, _) if at as usize == number), "{found:?} at {number}");
            return;
        }
        // hyper may have sent it while the stream was still being written: then its end is known by now.
        let end = *ends.get(number).unwrap_or_else(|| panic!("request {number} was served and not seen: {ends:?} {found:?}"));
        let from = number.checked_sub(1).and_then(|before| ends.get(before)).copied().unwrap_or(0);
        let line = format!("{} ", request.method());
        assert!(raw[from..end].windows(line.len()).any(|window| window == line.as_bytes()), "request {number} begins elsewhere");
        let mut inbound = match serve::clean(request, head) {
            Ok(inbound) => inbound,
            Err(_) => return,
        };
        let length = inbound.payload().hold(1 << 16, &doorward::payload::Room::new(1 << 16), |_: &[u8]| {}).await;
        if let (Ok(length), Some(next)) = (length, ends.get(number + 1)) {
            assert!(end + length as usize <= *next, "the body of {number} reaches into the next head");
        }
    });
    let served = served.into_inner();
    served > 0 && found == Found::Clear
}
