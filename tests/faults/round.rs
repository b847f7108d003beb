//! A round: traffic, something that happens to it, and what must be so afterwards.
//!
//! | fault | whom it hits | what must be so |
//! |---|---|---|
//! | `KillClient`, `KillServer` | a program | its peers are told; nobody else notices |
//! | `Stop` | a program, the host, its helpers | all goes on where it was, and whatever needs them not at once |
//! | `Descriptors`, `Memory` | a program, the host | who can have no more waits, or is told by that name |
//! | `Stall` | two that send all they can and read nothing | others' messages go to and fro; then every byte is there |
//! | `KillHost`, `Device` | all | everybody is told; nothing is left; the next host serves |
//! | `Crowd` | the host | five hundred programs at once are all served |
//!
//! Memory is taken by RLIMIT_AS alone: what a control group allows (memory.max) ends a host as SIGKILL does.

use crate::{
    dice::Dice,
    process,
    program::{Program, until},
    world::{ECHOES, Hardships, Home, KERNELS, SERVES, World},
};
use std::{fs, thread, time::Duration};

/// The shortest stream, bytes: the number by which both ends know it.
const HEAD: usize = 8;
/// The programs that come at once.
const MANY: usize = 500;
/// What a host's memory may have grown by in all rounds, KiB.
const MEMORY: u64 = 8 << 10;

/// What happens.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Fault {
    KillClient,
    KillServer,
    Stop(Whom),
    DescriptorsOfProgram,
    DescriptorsOfHost,
    MemoryOfProgram,
    MemoryOfHost,
    Stall,
    KillHost,
    KillHeirAndHost,
    Device,
    Crowd,
}

/// Who stands still for a while.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Whom {
    Client,
    Server,
    Host,
    Steward,
    Heir,
}

/// Those of any round; some come twice as often.
const ANY: &[Fault] = &[
    Fault::KillClient,
    Fault::KillClient,
    Fault::KillServer,
    Fault::Stop(Whom::Client),
    Fault::Stop(Whom::Server),
    Fault::Stop(Whom::Host),
    Fault::Stop(Whom::Steward),
    Fault::Stop(Whom::Heir),
    Fault::DescriptorsOfProgram,
    Fault::DescriptorsOfHost,
    Fault::DescriptorsOfHost,
    Fault::MemoryOfProgram,
    Fault::MemoryOfHost,
    Fault::Stall,
    Fault::KillHost,
    Fault::KillHeirAndHost,
];

/// What is expected of a client.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Fate {
    /// All its bytes came to and fro.
    Well,
    /// They did, or it was told that they cannot.
    Told,
    /// The same, and by nothing but a shortage of descriptors at the beginning.
    Short,
    Killed,
}

struct Client {
    program: Program,
    fate: Fate,
}

impl Client {
    /// Judges how it ended.
    fn judge(mut self) {
        let said = self.program.ended();
        let is_told = |said: &str| said.starts_with("error ") && !said.contains(" EINVAL") && !said.contains(" EFAULT");
        let is_short = |said: &str| {
            ["EMFILE", "ENFILE", "ENOBUFS", "ENOMEM"].iter().any(|name| said == format!("error connect {name} at 0"))
        };
        let is_right = match self.fate {
            Fate::Well => said.starts_with("done "),
            Fate::Told => said.starts_with("done ") || is_told(&said),
            Fate::Short => said.starts_with("done ") || is_short(&said),
            Fate::Killed => said.starts_with("done ") || said == "signal 9",
        };
        assert!(is_right, "{:?}, and it said {said:?}, {:?}", self.fate, self.program.complaints());
    }
}

impl Client {
    /// Judges how it ended that was ended when there was no host any more.
    fn judge_loss(mut self) {
        if self.program.ended() != "signal 15" {
            self.judge();
        }
    }
}

/// The rounds of one network.
pub struct Rounds {
    world: World,
    dice: Dice,
    /// What the host's memory was after its first rounds, KiB, and how many it has seen.
    memory: (u64, u32),
}

/// Says where it happened if it did.
struct Says(String);

impl Drop for Says {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("failed: {}", self.0);
        }
    }
}

impl Rounds {
    pub fn new(has_device: bool) -> Self {
        Self { world: World::new(has_device), dice: Dice::new(0), memory: (0, 0) }
    }

    /// One round, which that seed determines.
    pub fn round(&mut self, seed: u64, has_crowd: bool) {
        self.dice = Dice::new(seed << 1 | u64::from(self.world.has_device));
        let mut says = Says(format!("the round of SEED={seed} ROUNDS=1"));
        if self.world.inhabitants.is_none() {
            let hardships = Hardships { full_disk: self.dice.roll(3) == 0, jumping_clock: self.dice.roll(3) == 0 };
            says.0 += &format!(" with {hardships:?}");
            self.world.begin(hardships);
            self.memory = (0, 0);
        }
        let fault = match self.dice.roll(ANY.len() + usize::from(self.world.has_device)) {
            _ if has_crowd => Fault::Crowd,
            any if any < ANY.len() => ANY[any],
            _ => Fault::Device,
        };
        says.0 += &format!(", {fault:?}");
        println!("{}", says.0);
        let clients = self.traffic();
        self.wait_a_moment();
        self.happens(fault, clients);
        if self.world.inhabitants.is_some() {
            self.world.is_as_before();
            self.remembers_nothing();
        }
    }

    fn wait_a_moment(&mut self) {
        thread::sleep(Duration::from_millis(self.dice.roll(40) as u64));
    }

    /// Some clients of everybody's.
    fn traffic(&mut self) -> Vec<Client> {
        (0..2 + self.dice.roll(3)).map(|_| self.client()).collect()
    }

    fn client(&mut self) -> Client {
        let seed = self.dice.roll(1 << 30);
        let from = if self.world.has_device && self.dice.roll(3) == 0 { Home::Kernel } else { Home::Stack };
        let is_to_kernel = self.world.has_device && from == Home::Stack && self.dice.roll(2) == 0;
        let (ip, port) = if is_to_kernel { (self.world.kernels(), KERNELS) } else { (self.world.ours(from), SERVES) };
        let words = match self.dice.roll(4) {
            0 => format!("ping {ip} {port} {} {seed}", 1 + self.dice.roll(200)),
            1 => format!("datagrams {} {ECHOES} {} {seed}", self.world.ours(from), 1 + self.dice.roll(60)),
            _ => {
                let most = 1 << (8 + self.dice.roll(14));
                format!("send {ip} {port} {} {seed}", HEAD + self.dice.roll(most))
            }
        };
        Client { program: self.world.start(from, &words), fate: Fate::Well }
    }

    fn happens(&mut self, fault: Fault, mut clients: Vec<Client>) {
        match fault {
            Fault::KillClient => {
                let client = &mut clients[0];
                client.fate = Fate::Killed;
                client.program.signal(libc::SIGKILL);
            }
            Fault::KillServer => return self.kill_server(clients),
            Fault::Stop(whom) => return self.stop(whom, clients),
            Fault::DescriptorsOfProgram => {
                let words = format!("open {} {SERVES} {} 3", self.world.ours(Home::Stack), self.dice.roll(100_000));
                let program = self.world.start(Home::Stack, &words);
                process::limit(program.pid(), libc::RLIMIT_NOFILE, Some(8 + self.dice.roll(100) as u64));
                clients.push(Client { program, fate: Fate::Well });
            }
            Fault::DescriptorsOfHost => return self.take_descriptors(clients),
            Fault::MemoryOfProgram => {
                let pid = clients[0].program.pid();
                process::limit(pid, libc::RLIMIT_AS, Some(size(pid) + (1 << 20)));
            }
            Fault::MemoryOfHost => return self.take_memory(clients),
            Fault::Stall => return self.stall(clients),
            Fault::KillHost => return self.lose(clients, |rounds| rounds.world.people().host.signal(libc::SIGKILL)),
            Fault::KillHeirAndHost => {
                let heir = self.world.beside("sockeye-heir");
                return self.lose(clients, |rounds| {
                    process::kill(heir, libc::SIGKILL);
                    rounds.wait_a_moment();
                    rounds.world.people().host.signal(libc::SIGKILL);
                });
            }
            Fault::Device => {
                self.lose(clients, |rounds| rounds.world.ip("link del t0"));
                return self.world.add_device();
            }
            Fault::Crowd => {
                let words = format!("crowd {} {SERVES} {MANY} 3000", self.world.ours(Home::Stack));
                let mut crowd = self.world.start(Home::Stack, &words);
                assert_eq!(crowd.ended(), format!("done {MANY}"), "{}", crowd.complaints());
            }
        }
        clients.into_iter().for_each(Client::judge);
    }

    /// The server is killed, and another takes its place.
    fn kill_server(&mut self, mut clients: Vec<Client>) {
        clients.iter_mut().for_each(|client| client.fate = Fate::Told);
        let serves = &mut self.world.people().serves;
        serves.signal(libc::SIGKILL);
        assert_eq!(serves.ended(), "signal 9");
        let again = self.world.start_up(Home::Stack, &format!("serve {SERVES}"));
        self.world.people().serves = again;
        clients.into_iter().for_each(Client::judge);
    }

    /// Somebody stands still. While it is no one whom all need, others' messages go to and fro.
    fn stop(&mut self, whom: Whom, clients: Vec<Client>) {
        let pid = match whom {
            Whom::Client => clients[0].program.pid(),
            Whom::Server => self.world.people().serves.pid(),
            Whom::Host => self.world.people().host.pid(),
            Whom::Steward => self.world.beside("sockeye-steward"),
            Whom::Heir => self.world.beside("sockeye-heir"),
        };
        process::kill(pid, libc::SIGSTOP);
        if matches!(whom, Whom::Server | Whom::Host) {
            self.wait_a_moment();
        } else {
            self.world.messages_go();
        }
        process::kill(pid, libc::SIGCONT);
        clients.into_iter().for_each(Client::judge);
    }

    /// The host may have hardly any descriptors for a while, in which programs come.
    fn take_descriptors(&mut self, mut clients: Vec<Client>) {
        clients.iter_mut().for_each(|client| client.fate = Fate::Short);
        let host = self.world.people().host.pid();
        let few = process::descriptors(host).len() + self.dice.roll(8);
        let had = process::limit(host, libc::RLIMIT_NOFILE, Some(few as u64));
        for _ in 0..1 + self.dice.roll(4) {
            let client = self.client();
            clients.push(Client { fate: Fate::Short, ..client });
        }
        thread::sleep(Duration::from_millis(50 + self.dice.roll(150) as u64));
        process::limit(host, libc::RLIMIT_NOFILE, Some(had));
        clients.into_iter().for_each(Client::judge);
    }

    /// The host may have no more memory than it has, or hardly: it serves on, or ends, and all are told.
    fn take_memory(&mut self, mut clients: Vec<Client>) {
        clients.iter_mut().for_each(|client| client.fate = Fate::Told);
        let folders = self.world.folders();
        let host = self.world.people().host.pid();
        let had = process::limit(host, libc::RLIMIT_AS, Some(size(host) + self.dice.roll(1 << 22) as u64));
        for _ in 0..2 + self.dice.roll(4) {
            let client = self.client();
            clients.push(Client { fate: Fate::Told, ..client });
        }
        until("the clients are done, or the host is", || {
            !self.world.people().host.is_alive() || clients.iter_mut().all(|client| !client.program.is_alive())
        });
        process::limit(host, libc::RLIMIT_AS, Some(had));
        if self.world.people().host.is_alive() {
            clients.into_iter().for_each(Client::judge);
        } else {
            // The kernel's clients are told of nothing by a network that is not there.
            clients.iter_mut().for_each(|client| client.program.signal(libc::SIGTERM));
            clients.into_iter().for_each(Client::judge_loss);
            self.world.is_over(&folders);
        }
        // What its allocator has got in other ways is not to be judged.
        self.memory = (0, 0);
    }

    /// Two send all they can and read nothing; one of them stands still. Messages go to and fro meanwhile.
    fn stall(&mut self, clients: Vec<Client>) {
        let ip = self.world.ours(Home::Stack);
        let mut full = [5, 6].map(|seed| self.world.start(Home::Stack, &format!("stall {ip} {SERVES} {seed}")));
        full.iter_mut().for_each(|program| program.says("full"));
        full[0].signal(libc::SIGSTOP);
        self.world.messages_go();
        full[0].signal(libc::SIGCONT);
        for mut program in full {
            program.tell("read");
            Client { program, fate: Fate::Well }.judge();
        }
        clients.into_iter().for_each(Client::judge);
    }

    /// The host is gone, by what is done here.
    fn lose(&mut self, mut clients: Vec<Client>, how: impl FnOnce(&mut Self)) {
        clients.iter_mut().for_each(|client| client.fate = Fate::Told);
        let mut waits = self.world.waiting();
        let folders = self.world.folders();
        assert!(!folders.is_empty());
        how(self);
        for program in &mut waits {
            assert_eq!(program.ended(), "error wait ENETDOWN at 0", "{}", program.complaints());
        }
        // Those that come too late would have a host of their own.
        clients.iter_mut().for_each(|client| client.program.signal(libc::SIGTERM));
        clients.into_iter().for_each(Client::judge_loss);
        self.world.is_over(&folders);
    }

    /// What the host's memory has grown by since its first rounds is not much, once it has given back what it does not
    /// use.
    fn remembers_nothing(&mut self) {
        let host = self.world.people().host.pid();
        let (before, rounds) = &mut self.memory;
        *rounds += 1;
        if *rounds <= 3 {
            *before = process::memory(host).max(*before);
        }
        let most = *before + MEMORY;
        until(&format!("the host's memory is at most {most} KiB"), || process::memory(host) <= most);
    }
}

/// A process's address space in bytes.
fn size(pid: i32) -> u64 {
    let pages = fs::read_to_string(format!("/proc/{pid}/statm")).unwrap_or_default();
    pages.split(' ').next().and_then(|pages| pages.parse::<u64>().ok()).unwrap_or(0) * 4096
}
