//! Nobody is killed: a connection breaks, a deadline passes, an application gives up, a node is away.
