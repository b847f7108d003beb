//! wget.

use crate::{
    home::{Home, noise},
    netns::KERNEL,
};

both_ways! {
    fn a_file_comes_from_the_kernel_whole(home: &Home) {
        let content = noise(20_000_000);
        home.file("large", &content);
        let server = home.kernels_web_server(8000);
        let output = home.run(&["wget", "-q", "-O", "-", &format!("http://{KERNEL}:8000/large")]).bytes();
        assert!(output == content, "{} of {} bytes", output.len(), content.len());
        server.end_by(libc::SIGTERM);
    }

    fn a_page_comes_from_the_stack_itself(home: &Home) {
        home.file("page", b"at home\n");
        let server = home.web_server("127.0.0.1", 8000);
        assert_eq!(home.run(&["wget", "-q", "-O", "-", "http://127.0.0.1:8000/page"]).text(), "at home\n");
        server.end_by(libc::SIGTERM);
    }
}
