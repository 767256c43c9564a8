//! The hop path allocates nothing per packet, once an SSRC is known; nor does a repeat.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;

use halfkey_media::{HopProfile, HopReceiveContext, HopSendContext, OpenedPacket};
use halfkey_media::{Origin, SendStream};

struct Counting;

thread_local! {
    static ALLOCATIONS: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: every call is handed on to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.set(ALLOCATIONS.get() + 1);
        // SAFETY: the caller's promises are those that the system's allocator asks for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations(run: impl FnOnce()) -> usize {
    let before = ALLOCATIONS.get();
    run();
    ALLOCATIONS.get() - before
}

/// A sender's packet with an empty OHB, sealed for the first hop, into `buffer`.
fn seal(sender: &mut HopSendContext, buffer: &mut [u8], sequence_number: u16) -> usize {
    buffer[..100].fill(7);
    buffer[..12].copy_from_slice(&[0x80, 96, 0, 0, 0, 0, 0, 1, 0, 0, 0, 9]);
    buffer[2..4].copy_from_slice(&sequence_number.to_be_bytes());
    buffer[99] = 0;
    sender.seal_rtp(buffer, 100).expect("fresh")
}

fn relay(
    receive: &mut HopReceiveContext,
    stream: &mut SendStream,
    packet: &mut [u8],
    output: [&mut [u8]; 2],
) {
    let opened = receive.open_rtp(packet).expect("authentic");
    let packet = OpenedPacket::parse(&packet[..opened.length()]).expect("well-formed");
    let mut sent = packet.view.changeable_fields();
    sent.sequence_number = sent.sequence_number.wrapping_add(9);
    let mid = [(3, &b"slot"[..])];
    let [first, again] = output.map(|output| {
        let length = packet.rewrite(sent, mid.into_iter(), output);
        let length = length.expect("has room");
        let sealed = match stream.repeat(sent.sequence_number) {
            Some(repeat) => repeat.seal(output, length),
            None => stream.seal_rtp_of(Origin(opened.index), output, length),
        };
        &output[..sealed.expect("fresh, or the same")]
    });
    assert_eq!(first, again);
}

#[test]
fn opening_and_resealing_allocate_nothing() {
    let profile = HopProfile::AeadAes128Gcm;
    let salt = [1; 12];
    let mut sender = HopSendContext::new(profile, &[1; 16], &salt).expect("lengths fit");
    let mut receive = HopReceiveContext::new(profile, &[1; 16], &salt).expect("lengths fit");
    let mut send = HopSendContext::new(profile, &[2; 16], &salt).expect("lengths fit");
    let mut packet = [0; 256];
    let mut stream = send.lend(9).expect("free");
    let mut output = [[0; 256], [0xee; 256]];

    let mut forward = |sequence_number| {
        let length = seal(&mut sender, &mut packet, sequence_number);
        let output = output.each_mut().map(|one| &mut one[..]);
        relay(&mut receive, &mut stream, &mut packet[..length], output);
    };
    assert!(
        allocations(|| forward(1)) > 0,
        "a new SSRC takes memory, so the count works"
    );
    assert_eq!(allocations(|| (2..500).for_each(forward)), 0);
}
