//! The same requests to the simulated and to a real kube-apiserver give the same answers.
