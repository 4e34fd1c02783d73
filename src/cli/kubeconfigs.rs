//! What kubeconfigs of workers may do, and which addresses are dialled for them: the flags of `run` and `check`.

use std::sync::Arc;

use clap::builder::TypedValueParser as _;

use crate::worker::{
    addresses::{Addresses, Range},
    allowances::{Allowance, Allowances, Tenancy},
};

/// The flags.
#[derive(Clone, Debug, clap::Args)]
#[group(skip)]
pub struct Args {
    /// What kubeconfigs of workers may do beyond the ordinary. May be repeated. auth-provider is always refused: it is
    /// gone since Kubernetes 1.26.
    #[arg(long, value_name = "WHAT,…", value_delimiter = ',', value_enum)]
    kubeconfig_allow: Vec<Allowance>,
    /// Who may register workers. exec and files of --kubeconfig-allow need "single".
    #[arg(long, value_name = "WHO", value_enum, default_value_t = Tenancy::Multi)]
    tenancy: Tenancy,
    /// Addresses to dial as workers' API servers although they are loopback, link-local or a metadata service: for API
    /// servers on this machine, 127.0.0.0/8.
    #[arg(long, value_name = "RANGE,…", value_delimiter = ',', value_parser = range())]
    allow_addresses: Vec<Range>,
    /// Addresses never to dial as workers' API servers, such as the service range of the master.
    #[arg(long, value_name = "RANGE,…", value_delimiter = ',', value_parser = range())]
    deny_addresses: Vec<Range>,
}

fn range() -> impl clap::builder::TypedValueParser<Value = Range> {
    clap::builder::StringValueParser::new().try_map(|text| text.parse::<Range>())
}

impl Args {
    /// What kubeconfigs may do.
    pub fn allowances(&self) -> Result<Allowances, String> {
        Allowances::new(self.kubeconfig_allow.iter().copied(), self.tenancy).map_err(|error| error.to_string())
    }

    /// What is dialled.
    pub fn addresses(&self) -> Arc<Addresses> {
        Arc::new(Addresses::new(self.allow_addresses.iter().copied(), self.deny_addresses.iter().copied()))
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: super::Args,
    }

    fn read(words: &[&str]) -> Result<super::Args, String> {
        let line = Line::try_parse_from([&["atoll"], words].concat()).map_err(|error| error.to_string())?;
        Ok(line.args)
    }

    #[test]
    fn several_things_are_allowed_by_one_flag_or_by_many() {
        let one = read(&["--kubeconfig-allow=proxy-url,basic-auth"]).unwrap().allowances().unwrap();
        let many = read(&["--kubeconfig-allow=basic-auth", "--kubeconfig-allow=proxy-url"]).unwrap();
        assert_eq!(many.allowances().unwrap(), one);
        assert_eq!(read(&[]).unwrap().allowances().unwrap(), super::Allowances::default());
        assert!(read(&["--kubeconfig-allow=auth-provider"]).is_err());
    }

    #[test]
    fn a_program_is_only_for_a_single_tenant_and_the_start_is_refused_else() {
        let refused = read(&["--kubeconfig-allow=exec"]).unwrap().allowances().unwrap_err();
        assert!(refused.contains("--tenancy=single"), "{refused}");
        assert!(read(&["--kubeconfig-allow=exec", "--tenancy=single"]).unwrap().allowances().is_ok());
    }

    #[test]
    fn ranges_are_checked_before_anything_starts() {
        let addresses = read(&["--allow-addresses=127.0.0.0/8,::1", "--deny-addresses=10.96.0.0/12"]).unwrap();
        let addresses = addresses.addresses();
        for (address, dialled) in [("127.0.0.1", true), ("::1", true), ("10.96.0.1", false), ("10.0.0.1", true)] {
            assert_eq!(addresses.check(address.parse().unwrap()).is_ok(), dialled, "{address}");
        }
        let error = read(&["--deny-addresses=10.96.0.1/12"]).unwrap_err();
        assert!(error.contains("which of the two is meant"), "{error}");
    }
}
