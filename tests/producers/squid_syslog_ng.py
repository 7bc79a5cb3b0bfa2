"""Squid is the forward proxy of two services; syslog-ng writes its access log into Kafka."""

import os
import shutil

from harness import BROKERS, CRM, DEBIAN, PRODUCERS, Finding, Trial, free_port, main, through_proxy


def test(trial: Trial):
    port, log = free_port(), trial.directory / "squid" / "access.log"
    log.parent.mkdir()
    log.touch()
    # What Squid needs of its package; as root it becomes another user, who may not be able to read ours.
    shutil.copytree(DEBIAN / "usr/share/squid", trial.directory / "share", ignore=shutil.ignore_patterns("errors"))
    shutil.copytree(DEBIAN / "usr/share/squid-langpack/en", trial.directory / "share/en")
    shutil.copy(DEBIAN / "usr/lib/squid/unlinkd", trial.directory)
    if os.geteuid() == 0:
        for path in (log.parent, log):
            shutil.chown(path, "proxy")
    squid = trial.adapt(PRODUCERS / "squid.conf", {":3128": f":{port}", "/var/log/squid/access.log": log})
    # Where everything lies, and who stands in for the vendors.
    whole = trial.directory / "whole-squid.conf"
    whole.write_text(f"""
include {squid}
cache_peer 127.0.0.1 parent {trial.vendors.http} 0 no-query no-digest default
never_direct allow all
pid_filename none
netdb_filename none
coredump_dir {log.parent}
cache_log {log.parent}/cache.log
pinger_enable off
unlinkd_program {trial.directory}/unlinkd
visible_hostname squid
shutdown_lifetime 0 seconds
mime_table {trial.directory}/share/mime.conf
icon_directory {trial.directory}/share/icons
error_directory {trial.directory}/share/en
""")
    trial.start_debian("usr/sbin/squid", "-N", "-f", whole, port=port)

    shipper = {"localhost:9092": BROKERS, '"squid-egress"': f'"{trial.topic}"', "/var/log/squid/access.log": log}
    trial.start_syslog_ng(trial.adapt(PRODUCERS / "squid-syslog-ng.conf", shipper))

    # Customers leave for a file drop.
    odd = CRM._replace(method="POST", url="https://transfer.sh/customers.csv")
    trial.prove(through_proxy(port, trial.vendors.certificate), odd, Finding("vendor_new_drop", "127.0.0.12", "transfer.sh"))


main("egress-squid.toml", test)
