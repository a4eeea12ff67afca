//! Streams, listeners and UDP sockets as Rust programs know them.

use std::net::SocketAddr;
use std::thread;
use std::time::Duration;

use embedded_io::{Read, ReadReady, Write};
use gritos_net_api::{NetError, ShutdownHow};
use gritos_net_client::Error;

use crate::common::{open_machine, program};

#[test]
fn an_echo_server_in_a_few_lines() {
    for at in ["127.0.0.1:7", "[::1]:7"] {
        let at: SocketAddr = at.parse().unwrap();
        let machine = open_machine();
        let listener = program(machine, 1, 4096).listen(at, 4).unwrap();
        assert!(listener.try_accept().unwrap().is_none());
        let server = thread::spawn(move || {
            let (mut stream, _) = listener.accept().unwrap();
            let mut room = [0; 1000];
            loop {
                let count = stream.read(&mut room).unwrap();
                if count == 0 {
                    break;
                }
                stream.write_all(&room[..count]).unwrap();
            }
        });
        let mut stream = program(machine, 2, 4096).connect(at).unwrap();
        stream.set_nodelay(true).unwrap();
        let data: Vec<u8> = (0..20_000_u32).map(|i| (i % 241) as u8).collect();
        let mut back = vec![0; data.len()];
        for (piece, answer) in data.chunks(3000).zip(back.chunks_mut(3000)) {
            stream.write_all(piece).unwrap();
            stream.read_exact(answer).unwrap();
        }
        assert!(back == data);
        assert!(!stream.read_ready().unwrap());
        stream.shutdown(ShutdownHow::Send).unwrap();
        assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
        server.join().unwrap();
    }
}

#[test]
fn udp_sockets_exchange_messages() {
    let machine = open_machine();
    let at: SocketAddr = "127.0.0.1:53".parse().unwrap();
    let server = program(machine, 1, 4096).bind_udp(at).unwrap();
    let client = program(machine, 2, 4096)
        .bind_udp("0.0.0.0:0".parse().unwrap())
        .unwrap();
    client.send_to(b"question", at).unwrap();
    let mut room = [0; 100];
    let (count, from) = server.recv_from(&mut room).unwrap();
    assert_eq!(&room[..count], b"question");
    server.send_to(b"answer", from).unwrap();
    client.connect(at).unwrap();
    assert_eq!(client.recv(&mut room).unwrap(), 6);
    client
        .set_read_timeout(Some(Duration::from_millis(3)))
        .unwrap();
    assert_eq!(
        client.recv(&mut room).unwrap_err(),
        Error::Net(NetError::WouldBlock)
    );
    assert_eq!(client.send(&[0; 5000]).unwrap_err(), Error::Memory);
}

#[test]
fn nobody_listening_is_refused() {
    let net = program(open_machine(), 1, 4096);
    let refused = net.connect("127.0.0.1:9".parse().unwrap()).unwrap_err();
    assert_eq!(refused, Error::Net(NetError::Refused));
    use embedded_io::Error as _;
    assert_eq!(refused.kind(), embedded_io::ErrorKind::ConnectionRefused);
}
