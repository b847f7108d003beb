//! A TUN device: the same stack without Ethernet.

use crate::{
    home::noise,
    installed,
    netns::{KERNEL, Namespace, OURS},
    running::Running,
};
use std::{fs, process::Command};

#[test]
fn curl_fetches_over_a_tun_device_that_sockeye_up_makes() {
    let namespace = Namespace::bare();
    let folder = installed::scratch("tun");
    let content = noise(20_000_000);
    fs::write(folder.join("large"), &content).expect("a file");
    let start = |program: &mut Command| {
        program.current_dir(&folder).env_remove("LD_PRELOAD").env("PYTHONUNBUFFERED", "1");
        namespace.inside(|| Running::start(program, false))
    };
    let run = |words: &str| {
        let mut command = Command::new(installed::sockeye());
        start(command.args(words.split(' '))).ended().text()
    };
    let said = run(&format!("up u0 --tun --ip {KERNEL}/24"));
    let net = format!("tun:u0,ip={OURS}/24,gw={KERNEL}");
    assert!(said.ends_with(&format!("SOCKEYE_NET={net}\n")), "{said}");
    let mut server = Command::new(installed::debian("python3"));
    let server = start(server.args(["-m", "http.server", "--bind", KERNEL, "8000"]));
    server.says("Serving HTTP");

    let url = format!("http://{KERNEL}:8000/large");
    let mut curl = Command::new(installed::sockeye());
    curl.args(["run", "--net", &net, "--"]).arg(installed::debian("curl")).args(["-sS", &url]);
    let output = start(&mut curl).ended().bytes();
    assert!(output == content, "{} of {} bytes", output.len(), content.len());
    server.end_by(libc::SIGTERM);
    run("stop");
    run("down u0");
    assert_eq!(namespace.devices(), ["lo"]);
}
