//! WebSockets (RFC 6455): carried byte by byte, quiet as long as they may be, and ended in good order.

mod carried;
mod ended;
mod strangers;

use crate::support::client::Request;
use crate::support::proxy::{Tidegate, web};
use crate::support::websocket::{End, Node};

/// A node, the proxy, and one WebSocket through both.
struct Open {
    node: Node,
    tide: Tidegate,
    client: End,
    server: End,
}

/// The file: sections at its top, keys of the upstream, and this node.
fn file(top: &str, keys: &str, node: &Node) -> String {
    format!("{top}\n{}", web(keys, node.entry()))
}

impl Open {
    async fn with(top: &str, keys: &str) -> Self {
        let node = Node::open().await;
        let tide = Tidegate::run(file(top, keys, &node)).await;
        let (client, server) = opened(&tide, &node).await;
        Open {
            node,
            tide,
            client,
            server,
        }
    }

    /// Something passes both ways.
    async fn carries(&mut self, text: &[u8]) {
        self.client
            .says(super::support::websocket::TEXT, text)
            .await;
        assert_eq!(self.server.hears().await.unwrap().payload, text);
        self.server
            .says(super::support::websocket::TEXT, text)
            .await;
        assert_eq!(self.client.hears().await.unwrap().payload, text);
    }
}

/// One WebSocket through the proxy.
async fn opened(tide: &Tidegate, node: &Node) -> (End, End) {
    let request = Request::websocket("/chat");
    let ((client, answer), (server, _)) = tokio::join!(
        End::opens(tide.addr(), &request),
        node.agrees(
            "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n",
            b""
        )
    );
    assert_eq!(answer.line, "HTTP/1.1 101 Switching Protocols");
    (client, server)
}
