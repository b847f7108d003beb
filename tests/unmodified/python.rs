//! Python's web server and client.

use crate::{
    home::{Home, noise},
    http,
    netns::KERNEL,
};

const FETCH: &str =
    "import sys, urllib.request as r; sys.stdout.buffer.write(r.urlopen(sys.argv[1], timeout=30).read())";

both_ways! {
    fn the_kernel_fetches_from_a_web_server(home: &Home) {
        let content = noise(20_000_000);
        home.file("large", &content);
        let server = home.web_server("0.0.0.0", 8000);
        assert!(home.page(8000, "/large") == content);
        let errors = home.namespace.inside(|| http::load(8000, "/large", &content, 4, 4));
        assert_eq!(errors, Vec::<String>::new());
        assert!(server.said().contains("10.97.0.1"), "the server knows whom it talks to: {}", server.said());
        // As the interrupt key does.
        assert_eq!(server.end_by(libc::SIGINT).status, "exit 0");
    }

    fn a_dual_stack_listener_serves_ipv4(home: &Home) {
        home.file("page", b"both\n");
        let server = home.web_server("::", 8000);
        assert_eq!(home.page(8000, "/page"), b"both\n");
        assert_eq!(home.run(&["curl", "-sS", "http://127.0.0.1:8000/page"]).text(), "both\n");
        server.end_by(libc::SIGTERM);
    }

    fn urllib_fetches_from_the_kernel_and_from_the_stack(home: &Home) {
        let content = noise(20_000_000);
        home.file("large", &content);
        let kernels = home.kernels_web_server(8000);
        let server = home.web_server("0.0.0.0", 8000);
        for address in [KERNEL, "127.0.0.1"] {
            let url = format!("http://{address}:8000/large");
            let output = home.run(&["python3", "-c", FETCH, &url]).bytes();
            assert!(output == content, "{address}: {} of {} bytes", output.len(), content.len());
        }
        server.end_by(libc::SIGTERM);
        kernels.end_by(libc::SIGTERM);
    }
}
